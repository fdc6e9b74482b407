import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deleteImage, inspectImage, SmolVM } from "../../src/index.ts";
import { decodeMachineRecord } from "../../src/state/machine-record.ts";
import {
  imagePaths,
  machinePaths,
  savedMachinePaths,
  snapshotFolder,
  stampsFile,
} from "../../src/state/paths.ts";
import { clearAfterFailures } from "../support/own-machines.ts";
import { named, type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
  ownImages();
});
afterAll(() => home[Symbol.asyncDispose]());
const own = clearAfterFailures();

/** The images of this home are its own, so that they can be taken away. */
function ownImages(): void {
  const { images } = home.state;
  for (const name of readdirSync(images)) {
    const copy = join(home.state.home, name);
    execFileSync("cp", ["-aL", "--sparse=always", join(images, name), copy]);
    rmSync(join(images, name));
    renameSync(copy, join(images, name));
  }
}

/** The same recipe and another date, as a rebuild from newer packages gives. On its disk there is nothing, which a guest would notice. */
async function rebuildDebian(): Promise<string> {
  const { digest, rootfsPath } = await inspectImage("debian");
  const folder = dirname(rootfsPath ?? "");
  const newer = imagePaths(home.state, basename(folder).replace(/[0-9a-f]{16}$/, "0123456789abcdef"));
  execFileSync("cp", ["-a", "--sparse=always", folder, newer.folder]);
  truncateSync(newer.rootfs);
  truncateSync(newer.rootfs, statSync(rootfsPath ?? "").size);
  const value = JSON.parse(readFileSync(newer.manifest, "utf8"));
  const other = "0123456789abcdef".repeat(4);
  const createdAt = new Date().toISOString();
  writeFileSync(newer.manifest, JSON.stringify({ ...value, digest: other, createdAt }));
  expect((await inspectImage("debian")).digest).toBe(other);
  return digest;
}

/** What it has of its image, read from the disk. */
const WHOLE = "cd / && md5sum -c --quiet /var/lib/dpkg/info/dpkg.md5sums && echo whole";
/** The same, and what it wrote itself. */
const LOOK = `cat /root/mark && ${WHOLE}`;

describe("a machine whose image is built again, and then removed", () => {
  it("starts, where it is stopped, on the very disk that its own was made on, and so do its snapshots; one of a template runs on", async () => {
    const vm = await own(SmolVM.create({ ...named(), image: "debian", persistent: true }));
    await vm.run("echo precious >/root/mark; sync", { check: true });
    await vm.snapshot("kept");
    await vm.stop();
    const clone = await own(SmolVM.create({ ...named(), image: "debian" }));
    expect((await clone.info()).boot?.way).toBe("template");
    const digest = await rebuildDebian();
    const record = () => decodeMachineRecord(readFileSync(machinePaths(home.state, vm.name).record, "utf8"));
    expect(record().held?.image).toMatchObject({ name: "debian", digest });

    await vm.start();
    expect((await vm.run(LOOK)).output).toBe("precious\nwhole");
    await vm.stop();

    await deleteImage("debian");
    expect(readdirSync(home.state.images).filter((name) => name.includes("debian"))).toEqual([]);
    expect((await clone.run(WHOLE)).output).toBe("whole");
    await clone.delete();
    await vm.start();
    expect((await vm.run(LOOK)).output).toBe("precious\nwhole");
    await vm.stop();

    const copy = await own(SmolVM.restore("kept", { persistent: true }));
    expect((await copy.run("cat /root/mark")).output).toBe("precious");
    await copy.stop();
    await SmolVM.deleteSnapshot("kept");
    await copy.start();
    expect((await copy.run(LOOK)).output).toBe("precious\nwhole");
    await copy.delete();
    await vm.delete();
    expect(readdirSync(home.state.images).filter((name) => name.includes("debian"))).toEqual([]);
  }, 300_000);
});

describe("a snapshot whose files were touched", () => {
  it("is restored after chmod -R, after a backup was put back, and not read again each time", async () => {
    const paths = savedMachinePaths(snapshotFolder(home.state, "touched"), "snapshot");
    await SmolVM.use(named(), async (vm) => {
      await vm.run("echo precious >/tmp/mark");
      await vm.snapshot("touched");
    });
    const output = async () => {
      const copy = await own(SmolVM.restore("touched"));
      try {
        return (await copy.run("cat /tmp/mark")).output;
      } finally {
        await copy.delete();
      }
    };
    execFileSync("chmod", ["-R", "u=rwX,go=", paths.folder]);
    expect(await output()).toBe("precious");
    expect(existsSync(stampsFile(paths.folder))).toBe(true);
    const backup = join(home.state.home, "backup.tar");
    execFileSync("tar", ["-C", paths.folder, "-cSf", backup, "."]);
    rmSync(paths.folder, { recursive: true });
    mkdirSync(paths.folder);
    execFileSync("tar", ["-C", paths.folder, "-xf", backup]);
    expect(await output()).toBe("precious");
    await SmolVM.deleteSnapshot("touched");
  });
});

describe("a template", () => {
  const whole = () => home.templates().whole.sort();

  it("stays, whatever time a caller has, and though its mode was changed", async () => {
    const warm = await own(SmolVM.create(named()));
    await warm.delete();
    const before = whole();
    expect(before.length).toBeGreaterThan(0);
    for (const timeout of ["300ms", "1s"]) {
      const vm = new SmolVM(named());
      await vm.start({ timeout }).catch(() => {});
      await vm.delete();
      expect(whole()).toEqual(expect.arrayContaining(before)); // other tests make theirs in the same folder
    }
    execFileSync("chmod", ["-R", "u=rwX,go=", `${home.state.templates}/`]);
    const again = await own(SmolVM.create(named()));
    expect((await again.info()).boot?.way).toBe("template");
    await again.delete();
    expect(whole()).toEqual(expect.arrayContaining(before));
  });
});
