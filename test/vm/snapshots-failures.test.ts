import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  SmolVM,
  SmolVMError,
  SnapshotAlreadyExistsError,
  SnapshotNotFoundError,
  ValidationError,
  VMStateError,
} from "../../src/index.ts";
import { diskLayer, savedMachinePaths, snapshotFolder } from "../../src/state/paths.ts";
import { flip } from "../support/damage.ts";
import { eventually } from "../support/eventually.ts";
import { firstLine, startProgram } from "../support/machines.ts";
import { clearAfterFailures } from "../support/own-machines.ts";
import { CLONE, named, type OwnHome, useOwnHome, wrapQemu } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(() => home[Symbol.asyncDispose]());
afterEach(() => {
  const left = { machines: home.machines(), drafts: drafts() };
  rmSync(home.state.snapshots, { recursive: true, force: true }); // what a failed test has left is not the next one's
  expect(left).toEqual({ machines: [], drafts: [] });
});
/** Whatever outlives no scope goes through this. */
const own = clearAfterFailures();

const inSnapshots = () => (existsSync(home.state.snapshots) ? readdirSync(home.state.snapshots) : []);
const drafts = () => inSnapshots().filter((name) => name.startsWith("."));
const filesOf = (name: string) => {
  const folder = snapshotFolder(home.state, name);
  return { ...savedMachinePaths(folder, "snapshot"), layer: diskLayer(folder, 1) };
};

/** What restoring was refused with; the error of a machine that came up all the same. */
async function refusalOf(name: string): Promise<SmolVMError> {
  const outcome = await SmolVM.restore(name).catch((error) => error);
  if (outcome instanceof SmolVM) await outcome.delete();
  expect(outcome).toBeInstanceOf(SmolVMError);
  return outcome;
}

describe("names of snapshots", () => {
  it("are taken once, found or not, and say so", () =>
    SmolVM.use(named(), async (vm) => {
      const { name } = await vm.snapshot();
      expect(name).toMatch(/^[a-z]+-[a-z]+-[0-9a-f]{6}$/);
      await expect(vm.snapshot(name)).rejects.toBeInstanceOf(SnapshotAlreadyExistsError);
      const twice = await Promise.allSettled([vm.snapshot("twice"), vm.snapshot("twice")]);
      expect(twice.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
      expect((await SmolVM.listSnapshots()).map((each) => each.name)).toEqual(["twice", name]);
      for (const each of ["twice", name]) await SmolVM.deleteSnapshot(each);
      await expect(SmolVM.restore(name)).rejects.toBeInstanceOf(SnapshotNotFoundError);
      await expect(SmolVM.deleteSnapshot(name)).rejects.toBeInstanceOf(SnapshotNotFoundError);
      for (const bad of ["A", "../x", ""]) {
        await expect(vm.snapshot(bad)).rejects.toBeInstanceOf(ValidationError);
        await expect(SmolVM.restore(bad)).rejects.toBeInstanceOf(ValidationError);
        await expect(SmolVM.deleteSnapshot(bad)).rejects.toBeInstanceOf(ValidationError);
      }
      for (const bad of [{ count: 0 }, { count: 65 }, { count: 1.5 }, { name: "A" }, { size: 2 }])
        await expect(vm.fork(bad as object)).rejects.toBeInstanceOf(ValidationError);
    }));

  it("are no way to change what was saved", async () => {
    const refused = { memSizeMib: 512, image: "debian", network: "off", sshUser: "me", cpus: 2 };
    for (const [key, value] of Object.entries(refused))
      await expect(SmolVM.restore("any", { [key]: value })).rejects.toThrow(new RegExp(key));
    const vm = new SmolVM(named());
    await expect(vm.snapshot()).rejects.toBeInstanceOf(VMStateError);
    await expect(vm.fork()).rejects.toBeInstanceOf(VMStateError);
  });
});

describe("a snapshot whose file is damaged", () => {
  it(
    "is named, and nothing is left of the machine that was to be",
    () =>
      SmolVM.use({ ...CLONE, image: "debian" }, async (vm) => {
        await vm.run("echo here >/root/mark; sync");
        await vm.snapshot("once");
        await vm.snapshot("whole");
        const damages: [string, () => Promise<void>][] = [
          ["memory", async () => flip(filesOf("whole").memory, 4096)],
          ["disk-1.qcow2", async () => rmSync(filesOf("whole").layer)],
          ["state", async () => truncateSync(filesOf("whole").state, 1000)],
          ["state", async () => flip(filesOf("whole").state, 1000)],
          ["record", async () => truncateSync(filesOf("whole").record, 100)],
          ["record", async () => rmSync(filesOf("whole").record)],
        ];
        for (const [file, damage] of damages) {
          await damage();
          const { code, message, remediation } = await refusalOf("whole");
          expect([code, message]).toEqual([
            "SNAPSHOT_DAMAGED",
            expect.stringMatching(`^The snapshot "whole" is damaged: .*${file.split("-")[0]}.*\\.$`),
          ]);
          expect(remediation).toBe("Remove it: smolvm snapshot rm whole");
          await SmolVM.deleteSnapshot("whole");
          await vm.snapshot("whole");
        }
        const layer = diskLayer(snapshotFolder(home.state, "whole"), 0);
        const { atime, mtime, size } = await stat(layer);
        await flip(layer, Math.floor(size / 2));
        await utimes(layer, atime, mtime);
        expect((await refusalOf("whole")).message).toMatch(/its disk.qcow2/);
        await flip(layer, Math.floor(size / 2));
        await SmolVM.deleteSnapshot("whole");
        await SmolVM.deleteSnapshot("once");
      }),
    300_000,
  );

  it("where only QEMU finds out is a BootError", () =>
    SmolVM.use(named(), async (vm) => {
      await vm.snapshot("broken");
      const { record, state } = filesOf("broken");
      const broken = readFileSync(state).fill(0, 5000, 9000);
      const value = JSON.parse(readFileSync(record, "utf8"));
      const sha256 = createHash("sha256").update(broken).digest("hex");
      writeFileSync(state, broken);
      writeFileSync(record, JSON.stringify({ ...value, state: { bytes: broken.length, sha256 } }));
      expect(await refusalOf("broken")).toMatchObject({
        code: "BOOT",
        message: expect.stringMatching(/could not be restored/),
      });
      await SmolVM.deleteSnapshot("broken");
    }));
});

describe("a snapshot whose restored guest panics", () => {
  it("is restored once more, with its disk as it was, and not a third time", () =>
    SmolVM.use({ ...CLONE, image: "debian" }, async (vm) => {
      const wrapper = wrapQemu(join(home.state.home, "panicking"));
      await vm.run("echo here >/root/mark; sync");
      await vm.snapshot("sound");
      const warnings: string[] = [];
      const logger = { warn: (message: string) => warnings.push(message) };
      const path = process.env.PATH;
      process.env.PATH = `${wrapper.path}:${path}`;
      try {
        wrapper.panic("next");
        const copy = await own(SmolVM.restore("sound", { logger }));
        expect((await copy.run("cat /root/mark")).output).toBe("here");
        expect(warnings).toEqual([
          expect.stringMatching(/^"\S+" is restored once more: .* panicked: made up\.$/),
        ]);
        await copy.delete();
        wrapper.panic("every");
        expect(await refusalOf("sound")).toMatchObject({
          code: "BOOT",
          message: expect.stringMatching(/made up/),
        });
      } finally {
        process.env.PATH = path;
        await SmolVM.deleteSnapshot("sound");
      }
    }));
});

describe("a snapshot that does not fit this host", () => {
  it("is refused with what would help", () =>
    SmolVM.use(named(), async (vm) => {
      await vm.snapshot("other");
      const { record } = filesOf("other");
      const text = readFileSync(record, "utf8");
      const { facts } = JSON.parse(text);
      const changes: [object, RegExp][] = [
        [{ qemuVersion: "7.2.99" }, /it was saved by QEMU 7\.2\.99, and here is 7/],
        [{ clientKey: facts.clientKey.replace(/.{4}$/, "AAAA") }, /holder of another SSH key/],
        [{ model: "0".repeat(64) }, /its devices are not those/],
        [{ guestFormat: undefined }, /a version of smolvm that talks to guests in another way/],
      ];
      for (const [changed, reason] of changes) {
        writeFileSync(record, JSON.stringify({ ...JSON.parse(text), facts: { ...facts, ...changed } }));
        const { code, message, remediation } = await refusalOf("other");
        expect([code, message]).toEqual(["SNAPSHOT_UNUSABLE", expect.stringMatching(reason)]);
        expect(remediation).toMatch(/\.$/);
      }
      await SmolVM.deleteSnapshot("other");
    }));
});

describe("a machine", () => {
  it("whose copy is aborted, fails or is overtaken goes on as if nothing had been", () =>
    SmolVM.use({ ...CLONE, image: "debian" }, async (vm) => {
      let at = 0;
      const counting = vm.run("for i in $(seq 1 300); do echo $i; sleep 0.01; done", {
        timeout: 100, // it stands still meanwhile, and the computer may be busy
        onStdout: () => at++,
      });
      await eventually(() => at > 3, "it counts");
      for (const afterMs of [0, 30, 80, 150, 250, 400]) {
        const failure = await vm
          .snapshot("never", { signal: AbortSignal.timeout(afterMs) })
          .catch((error) => error);
        if (!(failure instanceof Error)) await SmolVM.deleteSnapshot("never");
        else expect(failure).toMatchObject({ code: "OPERATION_ABORTED" });
      }
      expect((await counting).stdout.split("\n").slice(-2)).toEqual(["300", ""]);
      await expect(vm.snapshot("late", { timeout: "50ms" })).rejects.toThrow(
        /did not finish within|could not be saved/,
      );
      expect(vm.status).toBe("running");
      const [copy] = await own(vm.fork());
      expect((await copy?.run("echo alive"))?.output).toBe("alive");
      await copy?.delete();
      await vm.stop();
      await vm.start();
      expect((await vm.run("echo alive")).output).toBe("alive");
      expect(inSnapshots()).toEqual([]);
    }));

  it("that is deleted while it is copied is gone, and so is the copy", async () => {
    for (const afterMs of [50, 200, 400]) {
      const vm = await own(SmolVM.create(named()));
      const failure = vm.snapshot("cut").then(
        () => SmolVM.deleteSnapshot("cut"),
        (error) => error,
      );
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await vm.delete();
      expect([undefined, "SAVE", "BOOT"]).toContain((await failure)?.code);
      expect(inSnapshots()).toEqual([]);
    }
  });
});

describe("a host without space", () => {
  it("gives a clear error, and the machine goes on", async () => {
    const asRoot = process.getuid?.() === 0 ? [] : ["--map-root-user"];
    const body = `await SmolVM.use(${JSON.stringify({ ...CLONE, template: "off" })}, async (vm) => {
        const failure = await vm.snapshot("none").catch((error) => error);
        tell([failure.code, failure.message, (await vm.run("echo alive")).output, vm.status]);
      });`;
    mkdirSync(home.state.snapshots, { mode: 0o700 });
    const bind = `mount -t tmpfs -o size=48m none ${home.state.snapshots} && exec "$@"`;
    const program = startProgram(body, ["unshare", "--mount", ...asRoot, "sh", "-c", bind, "sh"], home.env);
    const [code, message, output, status] = (await firstLine(program)) as string[];
    expect([output, status]).toEqual(["alive", "running"]);
    expect(code).toBe("SAVE");
    expect(message).toMatch(/there is no space left for its memory/);
    await once(program, "close");
  });
});
