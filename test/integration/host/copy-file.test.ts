import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationAbortedError } from "../../../src/errors.ts";
import { copyWhole } from "../../../src/host/copy-file.ts";
import { NoFileError } from "../../../src/host/no-file.ts";

let folder: string;
let from: string;
let to: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-copy-"));
  [from, to] = [join(folder, "from"), join(folder, "to")];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const MIB = 1024 * 1024;

describe("the copy of a file", () => {
  it.each([0, 1, 4 * MIB, 9 * MIB + 5])(
    "is the same, with %i bytes, and this user's alone",
    async (bytes) => {
      const content = Buffer.alloc(bytes, "0123456789abcde");
      writeFileSync(from, content, { mode: 0o444 });
      await copyWhole(from, to);
      expect(readFileSync(to).equals(content)).toBe(true);
      expect(statSync(to).mode & 0o777).toBe(0o600);
    },
  );

  it("takes no place for what is all zeroes, at its end too", async () => {
    writeFileSync(from, "begin");
    truncateSync(from, 100 * MIB);
    await copyWhole(from, to);
    expect(statSync(to).size).toBe(100 * MIB);
    expect(statSync(to).blocks * 512).toBeLessThan(16 * MIB);
    expect(readFileSync(to).equals(readFileSync(from))).toBe(true);
  });

  it("that is aborted ends soon, and leaves nothing", async () => {
    writeFileSync(from, "");
    truncateSync(from, 40 * 1024 * MIB);
    const abort = new AbortController();
    const copying = copyWhole(from, to, { signal: abort.signal });
    setTimeout(() => abort.abort(), 20);
    await expect(copying).rejects.toBeInstanceOf(OperationAbortedError);
    expect(existsSync(to)).toBe(false);
  }, 5_000);

  it("is not begun of what is larger than it may be", async () => {
    writeFileSync(from, "12345");
    await expect(copyWhole(from, to, { mostBytes: 4 })).rejects.toBeInstanceOf(NoFileError);
    expect(existsSync(to)).toBe(false);
  });

  it("takes the place of no other file", async () => {
    writeFileSync(from, "new");
    writeFileSync(to, "old");
    await expect(copyWhole(from, to)).rejects.toMatchObject({ code: "EEXIST" });
    expect(readFileSync(to, "utf8")).toBe("old");
  });
});
