import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { VMAlreadyExistsError } from "../../../src/errors.ts";
import { tryLock } from "../../../src/host/lock.ts";
import { doctor, listImages, prune, SmolVM } from "../../../src/index.ts";
import { claimMachineFolder } from "../../../src/state/machine-folder.ts";
import { machinePaths, snapshotFolder } from "../../../src/state/paths.ts";
import { recordOf } from "../../support/machine-records.ts";
import { promptly } from "../../support/no-files.ts";
import { useSoundMachine } from "../../support/sound-machine.ts";
import { storeImage } from "../../support/stored-images.ts";

const folder = useSoundMachine();
const machine = (name: string) => machinePaths(folder().state, name);

describe.each([
  ["a file", (path: string) => writeFileSync(path, "")],
  ["a link to itself", (path: string) => symlinkSync(path, path)],
  ["a link that leads nowhere", (path: string) => symlinkSync(`${path}.none`, path)],
])("in the place of a folder, %s", (_kind, put) => {
  it("as a machine's is told, has the name, and can be deleted", async () => {
    put(machine("odd").folder);
    const infos = await promptly(SmolVM.list());
    expect(infos.map(({ name, status }) => [name, status])).toEqual([
      ["odd", "error"],
      ["sound", "stopped"],
    ]);
    await promptly(prune());
    const taken = claimMachineFolder(folder().state, recordOf("odd"));
    await expect(promptly(taken)).rejects.toBeInstanceOf(VMAlreadyExistsError);
    await promptly((await promptly(SmolVM.get("odd"))).delete());
    expect(readdirSync(folder().state.machines)).toEqual(["sound"]);
  });

  it("as a snapshot's, a template's or an image's keeps none of the others from being listed", async () => {
    const { state } = folder();
    await storeImage(state, "debian", "2");
    for (const parent of [state.snapshots, state.templates]) mkdirSync(parent, { recursive: true });
    put(snapshotFolder(state, "odd"));
    put(join(state.templates, "0".repeat(64)));
    put(join(state.images, `tiny-x86_64-${"0".repeat(16)}`));
    expect(await promptly(SmolVM.listSnapshots())).toEqual([]);
    expect((await promptly(listImages())).map(({ name }) => name)).toEqual(["debian"]);
    await promptly(prune());
    const { checks } = await promptly(doctor());
    for (const name of ["leftovers", "templates", "images"])
      expect(checks.find((check) => check.name === name)).toMatchObject({ ok: true });
  });
});

it("a lock that is a link which leads nowhere is named", async () => {
  symlinkSync("none", machine("sound").lock);
  await expect(promptly(tryLock(machine("sound").lock))).rejects.toMatchObject({
    code: "LOCK_UNCLEAR",
    message: expect.stringContaining("is a link that leads nowhere, and no file"),
  });
});

it("a folder in the place of a machine's socket is named by its start, with what helps, as is a log that is none", async () => {
  mkdirSync(join(machine("sound").control, "within"), { recursive: true });
  const vm = await promptly(SmolVM.get("sound"));
  await expect(vm.start()).rejects.toMatchObject({
    message: `${machine("sound").control} is a folder, where a socket has to be.`,
    remediation: expect.stringMatching(/remove it: rm -r '?\S+control\.sock/),
  });
  const log = machine("sound").logs.supervisor.now;
  rmSync(log, { force: true });
  symlinkSync(log, log);
  await expect(vm.start()).rejects.toThrow(`${log} is a link that leads to itself, and no file`);
  await promptly(vm.delete());
});

describe("a state folder that is a file", () => {
  it("is named by every call, with what helps", async () => {
    const file = join(folder().state.home, "file");
    writeFileSync(file, "mine");
    process.env.SMOLVM_HOME = file;
    const calls = [SmolVM.list, prune, listImages, SmolVM.listSnapshots, () => SmolVM.get("box")];
    for (const call of calls)
      await expect(promptly(call() as Promise<unknown>)).rejects.toMatchObject({
        code: "HOST",
        remediation: expect.stringMatching(/^\S+file is no folder, and has to be one: .*set SMOLVM_HOME/),
      });
    const { checks } = await promptly(doctor());
    expect(checks.find(({ name }) => name === "state folder")).toMatchObject({
      ok: false,
      remediation: expect.stringContaining(`${file} is no folder`),
    });
    expect(readFileSync(file, "utf8")).toBe("mine");
  });
});

describe("what is not smolvm's, in folders with names such as its own", () => {
  it.each([
    ["a machine", () => machine("odd").folder, async () => (await SmolVM.get("odd")).delete()],
    ["a snapshot", () => snapshotFolder(folder().state, "odd"), () => SmolVM.deleteSnapshot("odd")],
  ])("is not removed as %s", async (_kind, pathOf, remove) => {
    const path = pathOf();
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "vmlinux"), "");
    writeFileSync(join(path, "photo.jpg"), "");
    await promptly(prune());
    await expect(promptly(remove())).rejects.toMatchObject({
      message: expect.stringContaining('"photo.jpg" in it is not smolvm\'s'),
      remediation: expect.stringContaining("rm -r"),
    });
    expect(readdirSync(path)).toEqual(["photo.jpg", "vmlinux"]);
    rmSync(join(path, "photo.jpg"));
    await promptly(remove());
    expect(existsSync(path)).toBe(false);

    writeFileSync(path, "a note of the user's");
    await expect(promptly(remove())).rejects.toMatchObject({ code: "STATE" });
    expect(existsSync(path)).toBe(true);
  });
});
