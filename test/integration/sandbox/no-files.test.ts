import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { tryLock } from "../../../src/host/lock.ts";
import { readImages } from "../../../src/image/store.ts";
import { deleteImage, doctor, listImages, prune, SmolVM } from "../../../src/index.ts";
import type { QemuMachine } from "../../../src/qemu/machine.ts";
import { resolveBootFiles } from "../../../src/sandbox/boot/boot-files.ts";
import { writeSshFiles } from "../../../src/sandbox/boot/runner.ts";
import type { Setup } from "../../../src/sandbox/machine/boot-setup.ts";
import type { Machine } from "../../../src/sandbox/machine/machine.ts";
import { readLogs } from "../../../src/sandbox/watch/logs.ts";
import { ensureClientKey, generateHostKey, readClientKey } from "../../../src/ssh/openssh/keys.ts";
import { imagePaths, machinePaths, savedMachinePaths, snapshotFolder } from "../../../src/state/paths.ts";
import { startCli } from "../../setup/cli-process.ts";
import { fakeHandle } from "../../support/fake-handle.ts";
import { letGoLater, NO_FILES, promptly, putFifo } from "../../support/no-files.ts";
import { STOPPED, useSoundMachine } from "../../support/sound-machine.ts";
import { storeImage } from "../../support/stored-images.ts";

const folder = useSoundMachine();
const machine = (name: string) => machinePaths(folder().state, name);
const snapshotRecord = (name: string) =>
  savedMachinePaths(snapshotFolder(folder().state, name), "snapshot").record;

describe.each(NO_FILES)("in the place of a file, %s", (_kind, put, said) => {
  it("as a machine's record is told, the machines beside it are there, and it can be deleted", async () => {
    put(machine("bad").record);
    const infos = await promptly(SmolVM.list());
    expect(infos.map(({ name, status }) => [name, status])).toEqual([
      ["bad", "error"],
      ["sound", "stopped"],
    ]);
    expect(infos[0]?.statusReason).toMatch(said);
    expect((await promptly((await SmolVM.get("sound")).info())).status).toBe("stopped");
    await promptly(prune());
    const bad = await promptly(SmolVM.get("bad"));
    await expect(bad.start()).rejects.toMatchObject({
      code: "RECORD_DAMAGED",
      message: expect.stringMatching(said),
    });
    await promptly(bad.delete());
    expect(readdirSync(folder().state.machines)).toEqual(["sound"]);
  });

  it("as a snapshot's record is damage of that snapshot, which can be deleted", async () => {
    put(snapshotRecord("bad"));
    expect(await promptly(SmolVM.listSnapshots())).toEqual([]);
    await expect(promptly(SmolVM.restore("bad"))).rejects.toMatchObject({
      code: "SNAPSHOT_DAMAGED",
      message: expect.stringMatching(said),
    });
    await promptly(SmolVM.deleteSnapshot("bad"));
    expect(readdirSync(folder().state.snapshots)).toEqual([]);
  });

  it("as an image's record is damage of that image, which can be removed", async () => {
    const { manifest } = await storeImage(folder().state, "tiny", "1");
    await storeImage(folder().state, "debian", "2");
    const paths = imagePaths(folder().state, `tiny-x86_64-${manifest.digest.slice(0, 16)}`);
    put(paths.manifest);
    expect((await promptly(readImages(folder().state, "tiny"))).damaged).toMatchObject([
      { folder: paths.folder, reason: expect.stringMatching(said) },
    ]);
    expect((await promptly(listImages())).map(({ name }) => name)).toEqual(["debian"]);
    await promptly(deleteImage("tiny"));
    expect(existsSync(paths.folder)).toBe(false);
  });

  it("as a lock tells nothing of a holder, and is named", async () => {
    put(machine("sound").lock);
    const { items } = await promptly(prune());
    expect(items).toMatchObject([
      { kind: "lock", name: "sound", removed: false, left: true, reason: expect.stringMatching(said) },
    ]);
    await expect(promptly(tryLock(machine("sound").lock))).rejects.toMatchObject({
      code: "LOCK_UNCLEAR",
      message: expect.stringMatching(said),
      remediation: expect.stringContaining(machine("sound").lock),
    });
    expect((await promptly(SmolVM.get("sound"))).status).toBe("stopped");
    // Beside a lock it keeps nobody from letting go of that one, and from clearing away what others left.
    const free = machine("sound").environmentLock;
    for (const name of "abcdefgh") put(`${free}.${name}`);
    const isThere = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
    writeFileSync(`${free}.left`, "");
    utimesSync(`${free}.left`, 1, 1);
    const release = await promptly(tryLock(free));
    await promptly(Promise.resolve(release?.()));
    expect([free, `${free}.left`, `${free}.a`].map(isThere)).toEqual([false, false, true]);
  });

  it("as a lock keeps no machine from being deleted of which nobody can have hold", async () => {
    put(machine("sound").lock);
    await promptly((await promptly(SmolVM.get("sound"))).delete());
    put(machine("bad").record);
    put(machine("bad").lock);
    await promptly((await promptly(SmolVM.get("bad"))).delete());
    expect(readdirSync(folder().state.machines)).toEqual([]);
  });

  it("as a lock keeps a machine that somebody may have", async () => {
    await folder().put("held", { persistent: true, wasBooted: true, status: STOPPED, owner: folder().me });
    put(machine("bad").record);
    writeFileSync(machine("bad").control, ""); // a socket, as another host sees it
    for (const name of ["held", "bad"]) {
      put(machine(name).lock);
      await expect(promptly((await promptly(SmolVM.get(name))).delete())).rejects.toMatchObject({
        code: "LOCK_UNCLEAR",
        message: expect.stringMatching(said),
        remediation: expect.stringMatching(/remove it: rm (-r )?'?\S+lock'?$/),
      });
    }
    expect(readdirSync(folder().state.machines)).toEqual(["bad", "held", "sound"]);
  });

  it("as the socket of a machine is that of nobody", async () => {
    put(machine("sound").control);
    await promptly(prune());
    expect((await promptly(SmolVM.list())).map(({ status }) => status)).toEqual(["stopped"]);
    await promptly((await promptly(SmolVM.get("sound"))).delete());
    expect(readdirSync(folder().state.machines)).toEqual([]);
  });
});

describe("a fifo in the place of", () => {
  it("a machine's folder is told as a machine without a record", async () => {
    putFifo(machine("bad").folder);
    using _ = letGoLater(machine("bad").folder);
    const [bad] = await promptly(SmolVM.list());
    expect(bad).toMatchObject({ name: "bad", status: "error", statusReason: "its record is missing" });
    await promptly((await promptly(SmolVM.get("bad"))).delete());
    expect(existsSync(machine("bad").folder)).toBe(false);
  });

  it("a log is as none", async () => {
    const handle = fakeHandle(folder().state.home);
    const { now, older } = machinePaths(folder().state, "box").logs.console;
    putFifo(now);
    putFifo(older);
    const logs = readLogs(handle);
    expect(await promptly(logs.next())).toEqual({ done: true, value: undefined });
  });

  it("what OpenSSH is told of a machine is replaced", async () => {
    const { record, paths } = await folder().put("box");
    for (const path of [paths.knownHosts, paths.sshConfig]) putFifo(path);
    const key = generateHostKey();
    const setup = { key: await ensureClientKey(folder().state) };
    const box = { spec: record.spec, folder: paths };
    await promptly(writeSshFiles(box as Machine, { sshPort: 1 } as QemuMachine, setup as Setup, key));
    expect(readFileSync(paths.knownHosts, "utf8")).toContain(key.publicLine);
    expect(readFileSync(paths.sshConfig, "utf8")).toContain("box");
  });

  it.each(["kernelPath", "initrdPath", "rootfsPath"])("%s is refused", async (option) => {
    const fifo = join(folder().state.home, "fifo");
    putFifo(fifo);
    const file = new URL(import.meta.url).pathname;
    const paths = { kernelPath: file, initrdPath: file, rootfsPath: file, [option]: fifo };
    const noImage = () => Promise.reject(new Error("none is wanted"));
    const files = resolveBootFiles({ kind: "own", ...paths, bootArgs: "quiet" }, "x86_64", noImage);
    const refusal = promptly(files);
    await expect(refusal).rejects.toBeInstanceOf(ValidationError);
    await expect(refusal).rejects.toThrow(`${option} ${fifo} can't be read: ${fifo} is a fifo, and no file.`);
  });

  it("a key of one's own is refused", async () => {
    const key = join(folder().state.home, "fifo");
    for (const path of [key, `${key}.pub`]) putFifo(path);
    await expect(promptly(readClientKey(key))).rejects.toMatchObject({
      message: expect.stringMatching(/can't be read: .*\/fifo.* is a fifo, and no file/),
      remediation: expect.stringContaining("put the right file there"),
    });
  });
});

describe("with a fifo in every place of the state folder", () => {
  beforeEach(() => {
    const { state } = folder();
    putFifo(machine("bad").record);
    putFifo(machine("bad").lock);
    for (const place of Object.values(machine("bad").logs)) putFifo(place.now);
    putFifo(snapshotRecord("bad"));
    putFifo(savedMachinePaths(join(state.templates, "0".repeat(64)), "template").record);
    putFifo(imagePaths(state, `tiny-x86_64-${"0".repeat(16)}`).manifest);
    for (const parent of [state.machines, state.templates, state.images]) putFifo(join(parent, ".lock-x"));
    putFifo(machine("odd").folder);
    for (const path of [state.verdicts, state.qemuFeatures, state.clientKey]) putFifo(path);
    mkdirSync(join(state.machines, ".discarded-x"));
    putFifo(join(state.machines, ".discarded-x", "within"));
  });

  it.each<readonly [line: string, status: number, said: RegExp]>([
    ["ls -a", 0, /bad .* its record is a fifo, and no file[\s\S]*sound/],
    ["inspect sound", 0, /sound/],
    ["prune", 0, /lock-x is a fifo, and no file/],
    ["logs bad", 0, /^$/],
    ["snapshot rm bad", 0, /bad/],
    ["rm odd", 0, /odd/],
  ])("`smolvm %s` ends", async (line, status, said) => {
    const { child, ended } = startCli(line.split(" "));
    const watch = setTimeout(() => child.kill("SIGKILL"), 15_000);
    const end = await ended;
    clearTimeout(watch);
    expect(end).toMatchObject({ status, signal: null });
    expect(end.stdout + end.stderr).toMatch(said);
  });

  it("doctor ends, and says which lock it can't judge", async () => {
    using _ = letGoLater(machine("odd").folder);
    await promptly(prune()); // what can be removed would be told first
    const { checks } = await promptly(doctor());
    const detail = checks.find(({ name }) => name === "leftovers")?.detail;
    expect(detail).toContain(`${machine("bad").lock} is a fifo, and no file`);
  });

  it("prune removes the folders that hold one", async () => {
    using _ = letGoLater(machine("odd").folder);
    await promptly(prune());
    expect(readdirSync(folder().state.machines)).not.toContain(".discarded-x");
    expect(statSync(machine("bad").record).isFIFO()).toBe(true);
  });
});
