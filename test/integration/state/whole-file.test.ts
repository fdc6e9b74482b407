import { lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostError } from "../../../src/errors.ts";
import { listenAt } from "../../../src/host/local-socket.ts";
import { readEnd, readText } from "../../../src/host/read-file.ts";
import {
  isThere,
  readFromStart,
  syncFile,
  syncFolder,
  writeCache,
  writeWhole,
} from "../../../src/host/whole-file.ts";
import { keepVerdict, recallVerdict } from "../../../src/qemu/verdicts.ts";
import { ensureClientKey } from "../../../src/ssh/openssh/keys.ts";
import { writeMachineRecord } from "../../../src/state/machine-folder.ts";
import { machinePaths, statePaths } from "../../../src/state/paths.ts";
import { recordOf } from "../../support/machine-records.ts";
import { NO_FILES, promptly } from "../../support/no-files.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-whole-"));
});
afterEach(() => rm(folder, { recursive: true }));

const twenty = Array.from({ length: 20 }, (_, index) => index);

describe("a file that is written whole", () => {
  it.each([true, false])(
    "is one of those that came, where many come at once (durable: %s)",
    async (durable) => {
      const path = join(folder, "file");
      const texts = twenty.map((index) => `${index} `.repeat(10_000 + index));
      await Promise.all(texts.map((text) => writeWhole(path, text, { durable })));
      expect(texts).toContain(readFileSync(path, "utf8"));
      expect(readdirSync(folder)).toEqual(["file"]);
      expect(statSync(path).mode & 0o777).toBe(0o600);
    },
  );

  it("leaves nothing where it can't be, and what was there stays", async () => {
    await expect(writeWhole(join(folder, "none", "file"), "x", { durable: true })).rejects.toThrow(/ENOENT/);
    const taken = join(folder, "taken");
    await writeCache(join(taken, "inside"), "x"); // a folder has the name
    await expect(writeWhole(taken, "y", { durable: true })).rejects.toThrow();
    expect(readdirSync(folder)).toEqual(["taken"]);
    expect(readdirSync(taken)).toEqual(["inside"]);
  });

  it("is read from its start as far as it goes, wherever others read on", async () => {
    const path = join(folder, "file");
    await writeFile(path, "0123456789");
    const file = await open(path, "r");
    await file.read(Buffer.alloc(4), 0, 4, null);
    expect((await readFromStart(file, 100)).toString()).toBe("0123456789");
    expect((await readFromStart(file, 5)).toString()).toBe("01234");
    const rest = await file.read(Buffer.alloc(10), 0, 10, null);
    expect(rest.bytesRead).toBe(6);
    await file.close();
    await syncFile(path);
    await syncFolder(folder);
  });
});

describe("a file that can't be looked at", () => {
  it("is not taken to be missing", async () => {
    symlinkSync("loop", join(folder, "loop"));
    expect(await isThere(join(folder, "none"))).toBe(false);
    expect(await isThere(join(folder, "none", "below"))).toBe(false);
    expect(await isThere(folder)).toBe(true);
    await expect(isThere(join(folder, "loop"))).rejects.toThrow(/ELOOP/);
  });
});

describe("many who write the same at once, in one process", () => {
  it("get no error: verdicts, records, keys", async () => {
    const state = statePaths({ SMOLVM_HOME: folder });
    const key = { accelerator: "kvm", bootId: "b", qemu: "q" };
    const verdict = { works: true, reason: "r" };
    await Promise.all(
      twenty.map((index) => keepVerdict(state.verdicts, { ...key, kernel: `${index}` }, verdict)),
    );
    const kept = await Promise.all(
      twenty.map((index) => recallVerdict(state.verdicts, { ...key, kernel: `${index}` })),
    );
    expect(kept.filter((each) => each?.works)).not.toEqual([]);
    expect(readdirSync(state.cache)).toEqual(["accelerators.json"]);

    const paths = machinePaths(state, "box");
    await writeCache(join(paths.folder, "any"), "");
    await Promise.all(twenty.map(() => writeMachineRecord(paths, recordOf("box", { persistent: true }))));
    expect(readdirSync(paths.folder).sort()).toEqual(["any", "machine.json"]);

    const keys = await Promise.all(twenty.map(() => ensureClientKey(state)));
    expect(new Set(keys.map(({ privateKey, publicLine }) => privateKey + publicLine)).size).toBe(1);
    expect(readdirSync(state.keys).sort()).toEqual(["id_ed25519", "id_ed25519.pub"]);
  });
});

const isFolder = (path: string) => lstatSync(path).isDirectory();

describe.each(NO_FILES)("%s", (_, put, said) => {
  it("is read as no file at all, and the caches as empty ones", async () => {
    const state = statePaths({ SMOLVM_HOME: folder });
    put(join(folder, "odd"));
    await expect(promptly(readText(join(folder, "odd"), 1024))).rejects.toThrow(said);
    put(state.verdicts);
    const key = { accelerator: "kvm", bootId: "b", qemu: "q", kernel: "k" };
    expect(await promptly(recallVerdict(state.verdicts, key))).toBeUndefined();
    if (isFolder(state.verdicts)) return; // whose content is not ours to remove
    await promptly(keepVerdict(state.verdicts, key, { works: true, reason: "r" }));
    expect(await promptly(recallVerdict(state.verdicts, key))).toEqual({ works: true, reason: "r" });
  });

  it("in the place of the client's key is damage, and of its public half is put right", async () => {
    const state = statePaths({ SMOLVM_HOME: folder });
    const { publicLine } = await ensureClientKey(state);
    put(state.clientKeyPublic);
    if (isFolder(state.clientKeyPublic)) {
      await expect(promptly(ensureClientKey(state))).rejects.toThrow(said);
      await rm(state.clientKeyPublic, { recursive: true });
    }
    expect(await promptly(ensureClientKey(state))).toMatchObject({ publicLine });
    expect(readFileSync(state.clientKeyPublic, "utf8").trim()).toBe(publicLine);
    put(state.clientKey);
    const damage = promptly(ensureClientKey(state));
    await expect(damage).rejects.toBeInstanceOf(HostError);
    await expect(damage).rejects.toThrow(said);
  });
});

describe("reading a file", () => {
  it("gives what is there up to the most, its end where only that is wanted, and the system's words where there is none", async () => {
    const path = join(folder, "some");
    await writeFile(path, "some text");
    expect(await readText(path, 9)).toBe("some text");
    await expect(readText(path, 8)).rejects.toThrow("some has 9 bytes, where 8 are the most");
    expect(`${await readEnd(path, 4)}`).toBe("text");
    expect(`${await readEnd(path, 100)}`).toBe("some text");
    await expect(readText(join(folder, "none"), 8)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(readText(folder, 8)).rejects.toThrow("is a folder, and no file");
  });

  it("names a socket, which can't even be opened", async () => {
    const server = await listenAt(join(folder, "socket"), () => {});
    await expect(readText(join(folder, "socket"), 8)).rejects.toThrow("socket is a socket, and no file");
    server.close();
  });
});

describe("a client key in whose place another one was put", () => {
  it("gets its own public half again, or names the two that don't belong together", async () => {
    const state = statePaths({ SMOLVM_HOME: folder });
    const other = statePaths({ SMOLVM_HOME: join(folder, "other") });
    await ensureClientKey(state);
    const { privateKey, publicLine } = await ensureClientKey(other);
    await writeFile(state.clientKey, privateKey);
    expect(await ensureClientKey(state)).toMatchObject({ privateKey, publicLine });
    expect(readFileSync(state.clientKeyPublic, "utf8").trim()).toBe(publicLine);
  });
});
