import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageError } from "../../../src/errors.ts";
import { runTool } from "../../../src/host/run-tool.ts";
import { createOverlay, diskError } from "../../../src/qemu/disk.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

let folder: string;
let base: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-disk-"));
  base = join(folder, "base, with 'odd' ünicode.raw");
  writeFileSync(base, "the base");
  truncateSync(base, 10 * 1024 * 1024);
});

afterAll(() => rmSync(folder, { recursive: true }));

const img = (...args: string[]) => runTool("qemu-img", args);

describe("an overlay", () => {
  it.each([16, 512, 513, 4096, 65_536, 4_194_304, 33_554_433])(
    "of %i MiB is what qemu-img takes for a sound, empty disk on its base",
    async (sizeMib) => {
      const path = join(folder, `${sizeMib}.qcow2`);
      await createOverlay({ base, baseFormat: "raw", path, sizeMib });
      const check = await img("check", "--output=json", path);
      expect(check.exitCode, check.stderr).toBe(0);
      const found = JSON.parse(check.stdout);
      expect(found).toMatchObject({ "check-errors": 0, "total-clusters": sizeMib * 16 });
      expect(found).not.toHaveProperty("leaks");
      expect(found).not.toHaveProperty("corruptions");
      const info = JSON.parse((await img("info", "--output=json", path)).stdout);
      expect(info).toMatchObject({
        format: "qcow2",
        "virtual-size": sizeMib * 1024 * 1024,
        "backing-filename": base,
        "backing-filename-format": "raw",
        "dirty-flag": false,
      });
    },
  );

  it("of a random size takes writes anywhere and gives back what lies under them", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 6; round++) {
      const path = join(folder, `random-${round}.qcow2`);
      const sizeMib = 10 + random(40_000);
      await createOverlay({ base, baseFormat: "raw", path, sizeMib });
      const at = 1 + random(sizeMib - 1);
      const script = [
        `write -P 7 ${at}M 64k`,
        `read -P 7 ${at}M 64k`,
        `read -P 0x74 0 1`, // the "t" of the base
        `read -P 0 ${at}k 1`,
      ];
      const written = await runTool("qemu-io", [
        ...script.flatMap((line) => ["-c", line]),
        "-f",
        "qcow2",
        path,
      ]);
      const what = `seed ${seed}, round ${round}: ${written.stdout}${written.stderr}`;
      expect(written.exitCode, what).toBe(0);
      expect(written.stdout, what).not.toMatch(/failed|error/i);
      expect((await img("check", path)).exitCode, what).toBe(0);
    }
  });

  it("on a qcow2 says so, and is small and private", async () => {
    const first = join(folder, "first.qcow2");
    const second = join(folder, "second.qcow2");
    await createOverlay({ base, baseFormat: "raw", path: first, sizeMib: 64 });
    await createOverlay({ base: first, baseFormat: "qcow2", path: second, sizeMib: 128 });
    const chain = JSON.parse((await img("info", "--backing-chain", "--output=json", second)).stdout);
    expect(chain.map((each: { format: string }) => each.format)).toEqual(["qcow2", "qcow2", "raw"]);
    expect(statSync(second).size).toBeLessThan(512 * 1024);
    expect(statSync(second).mode & 0o777).toBe(0o600);
  });

  it("never takes the place of a file that is there", async () => {
    const path = join(folder, "taken.qcow2");
    writeFileSync(path, "precious");
    const making = createOverlay({ base, baseFormat: "raw", path, sizeMib: 64 });
    await expect(making).rejects.toBeInstanceOf(ImageError);
    await expect(making).rejects.toThrow(path);
    expect(statSync(path).size).toBe("precious".length);
  });

  it("can't be made in a folder that is not there, nor on a base with an endless path", async () => {
    const path = join(folder, "no", "such", "folder.qcow2");
    await expect(createOverlay({ base, baseFormat: "raw", path, sizeMib: 64 })).rejects.toBeInstanceOf(
      ImageError,
    );
    const endless = `/${"x".repeat(1100)}`;
    const long = { base: endless, baseFormat: "raw" as const, path: join(folder, "long.qcow2"), sizeMib: 64 };
    await expect(createOverlay(long)).rejects.toThrow("too long");
    expect(() => statSync(long.path)).toThrow("ENOENT");
  });

  it.each(["ENOSPC", "EDQUOT"])("on a full file system (%s) says what helps", (code) => {
    const error = diskError("/vms/1/disk", Object.assign(new Error("no space left on device"), { code }));
    expect(error.message).toBe("The disk /vms/1/disk can't be made: no space left on device.");
    expect(error.remediation).toContain("SMOLVM_HOME");
  });
});
