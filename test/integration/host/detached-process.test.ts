import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostError } from "../../../src/errors.ts";
import { spawnDetached } from "../../../src/host/detached-process.ts";
import { backgroundVariables, neededVariables } from "../../../src/host/environment.ts";
import { endProcess, findOwned, markOf } from "../../../src/host/owned-processes.ts";
import { findProcess, isAlive } from "../../../src/host/process-identity.ts";
import { eventually } from "../../support/eventually.ts";
import { promptlyNow, putFifo } from "../../support/no-files.ts";

let folder = "";
let outputPath = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-detached-"));
  outputPath = join(folder, "out.log");
});
afterEach(() => rm(folder, { recursive: true }));

const printed = () => readFile(outputPath, "utf8").catch(() => "");
const shell = (script: string, env: NodeJS.ProcessEnv = process.env) =>
  spawnDetached(["/bin/sh", "-c", script], { env, outputPath });
async function identityOf(pid: number) {
  const identity = await findProcess(pid);
  if (!identity) throw new Error(`process ${pid} is gone`);
  return identity;
}

describe("a detached process", () => {
  it("has a socket to its parent as fd 3, and adds what it prints to its file", async () => {
    const { channel } = await shell("echo told >&3; echo out; echo err >&2");
    expect(await text(channel)).toBe("told\n");
    await eventually(async () => (await printed()) === "out\nerr\n", "what it printed is in the file");
    await text((await shell("echo more")).channel);
    await eventually(async () => (await printed()) === "out\nerr\nmore\n", "the next one adds to it");
  });

  it("is not started where a fifo or a device has the place of its file", async () => {
    putFifo(outputPath);
    await expect(promptlyNow(outputPath, () => shell("echo out"))).rejects.toThrow(
      /out.log is a fifo, and no file/,
    );
    outputPath = "/dev/null";
    await expect(shell("echo out")).rejects.toThrow("/dev/null is a device, and no file");
  });

  it("is in a session of its own, in no folder that could be busy, with no input", async () => {
    const { pid, channel } = await shell(
      "pwd; cat; ps -o pid=,sid= -p $$ 2>/dev/null || cut -d' ' -f1,6 /proc/$$/stat",
    );
    await text(channel);
    await eventually(
      async () => new RegExp(`\\b${pid} +${pid}\\b`).test(await printed()),
      "it leads its session",
    );
    expect((await printed()).split("\n")[0]).toBe("/");
  });

  it("outlives the process that started it", { timeout: 20_000 }, async () => {
    const dist = JSON.stringify(new URL("../../../dist/host/detached-process.js", import.meta.url).href);
    const parent = spawn(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `import { spawnDetached } from ${dist};
         const { pid } = await spawnDetached(["/bin/sleep", "60"], { env: process.env, outputPath: ${JSON.stringify(outputPath)} });
         console.log(pid);`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [said] = await Promise.all([text(parent.stdout), once(parent, "exit")]); // nothing keeps it from ending
    expect(parent.exitCode).toBe(0);
    const child = await identityOf(Number(said));
    expect(await isAlive(child)).toBe(true);
    expect(await endProcess(child)).toBe(true);
  });

  it("that can't be started is a HostError that names it", async () => {
    const starting = spawnDetached(["/no/such/program"], { env: {}, outputPath });
    await expect(starting).rejects.toThrow(HostError);
    await expect(starting).rejects.toThrow("/no/such/program can't be started on this host");
  });
});

describe("the processes that belong to a machine's folder", () => {
  it("are found by their mark, those of other folders are not", async () => {
    const folders = [join(folder, "a"), join(folder, "b"), `${folder}-other/a`];
    const started = await Promise.all(
      folders.map((each) => shell("exec sleep 60", { ...process.env, ...markOf(each) })),
    );
    const identities = await Promise.all(started.map(({ pid }) => identityOf(pid)));
    try {
      // Its environment is empty for a moment while the shell gives way to `sleep`: what was found once is not asked for again.
      let found: Awaited<ReturnType<typeof findOwned>> = [];
      await eventually(async () => {
        found = await findOwned(folder);
        return found.length === 2;
      }, "both are found");
      const byPid = (a: { pid: number }, b: { pid: number }) => a.pid - b.pid;
      expect(found.sort(byPid)).toEqual(
        [0, 1]
          .map((at) => ({ ...identities[at], folder: folders[at] }))
          .sort((a, b) => byPid(a as never, b as never)),
      );
    } finally {
      for (const identity of identities) expect(await endProcess(identity)).toBe(true);
    }
    expect(await findOwned(folder)).toEqual([]);
  });

  it("have no mark where they belong to none", () => {
    expect(markOf(null)).toEqual({});
    expect(markOf(undefined)).toEqual({});
  });
});

describe("ending a process", () => {
  it("spares another one that has its id now", async () => {
    const { pid } = await shell("exec sleep 60");
    const identity = await identityOf(pid);
    expect(await endProcess({ ...identity, startedAt: "long ago" })).toBe(true);
    expect(await endProcess({ ...identity, bootId: "another boot" })).toBe(true);
    expect(await isAlive(identity)).toBe(true);
    expect(await endProcess(identity)).toBe(true);
    expect(await isAlive(identity)).toBe(false);
  });

  it("ends one that a signal has stopped", async () => {
    const { pid } = await shell("kill -STOP $$; sleep 60");
    expect(await endProcess(await identityOf(pid))).toBe(true);
  });
});

describe("the environment of what is started in the background", () => {
  it("has what programs need to find their files, what else is asked for, and no keys", () => {
    const env = {
      PATH: "/bin",
      HOME: "/root",
      LC_ALL: "C",
      API_KEY: "k",
      SMOLVM_HOME: "/s",
      PATHS: "x",
      QEMU_MODULE_DIR: "/q",
    };
    expect(neededVariables(env)).toEqual({ PATH: "/bin", HOME: "/root", LC_ALL: "C", QEMU_MODULE_DIR: "/q" });
    expect(backgroundVariables(env, "SMOLVM_")).toMatchObject({ SMOLVM_HOME: "/s" });
    expect(backgroundVariables(env, "SMOLVM_")).not.toHaveProperty("API_KEY");
  });
});
