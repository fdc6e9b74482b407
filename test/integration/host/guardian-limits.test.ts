import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runTool } from "../../../src/host/run-tool.ts";
import { eventually } from "../../support/eventually.ts";

const GUARDIAN = new URL("../../../src/host/guardian.sh", import.meta.url).pathname;
const GUARDED = JSON.stringify(new URL("../../../dist/host/guarded-process.js", import.meta.url).href);
/** Uses up this user's processes but for `free` of them, then starts a command. Says its pid, or the error. */
const NEARLY_NONE = `
  const { spawnGuarded } = await import(${GUARDED});
  try {
    const guarded = await spawnGuarded(["sleep", "7777"], { ephemeralFolder: null });
    console.log("started", guarded.pid);
    await guarded.end();
    console.log("ended");
  } catch (error) {
    console.log("error", error.message);
  }`;

/** A user that has no other process. Linux counts root's processes by no limit. */
const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

async function startWith(processes: number): Promise<string> {
  const argv = [
    ...(process.getuid?.() === 0 ? NOBODY : []),
    ...["prlimit", `--nproc=${processes}`, process.execPath, "--input-type=module", "-e", NEARLY_NONE],
  ];
  const [file = "", ...args] = argv;
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "ignore"], cwd: "/" });
  let said = "";
  child.stdout.on("data", (chunk) => {
    said += chunk;
  });
  await once(child, "close");
  return said;
}

/** Those of that user: one that has ended counts until it is collected. Where this user is no other, by their command line. */
async function isAnyLeft(): Promise<boolean> {
  const { stdout } = await runTool("ps", ["-eo", "uid=,stat=,args="]);
  const isOne = process.getuid?.() === 0 ? /^ *65534 / : /^ *\d+ [^Z].*sleep 7777/;
  return stdout.split("\n").some((each) => isOne.test(each));
}

describe("a command whose user may have no more processes", () => {
  it("begins with all that protects it, or not at all", { timeout: 120_000 }, async () => {
    const seen = new Set<string>();
    // Node's own threads count too, and differ by its version: from too few to enough.
    for (let processes = 6; processes <= 24; processes++) {
      const said = await startWith(processes);
      const [word = ""] = said.split(" ");
      if (word === "started") expect(said).toContain("ended");
      seen.add(word);
      await eventually(async () => !(await isAnyLeft()), `${processes}: it is gone`);
      if (word === "started") break;
    }
    expect([...seen]).toContain("error");
    expect([...seen]).toContain("started");
  });
});

describe("the gate of the guardian", () => {
  it.each([
    ["closed", ""],
    ["told something else", "no\n"],
  ])("that is %s lets nothing begin", async (_, word) => {
    const child = spawn("/bin/sh", [GUARDIAN, "", "", "echo", "begun"], {
      stdio: ["pipe", "pipe", "inherit", "pipe", "pipe", "pipe"],
      cwd: "/",
    });
    let said = "";
    child.stdout?.on("data", (chunk) => {
      said += chunk;
    });
    child.stdin?.end(word);
    const [code] = await once(child, "close");
    expect(said).toBe("");
    expect(code).not.toBe(0);
  });
});

describe("the folder of a creator that dies", () => {
  it("has lost its name before anything in it is removed", async () => {
    const parent = mkdtempSync(join(tmpdir(), "smolvm-guard-"));
    const [folder, discarded, tools] = ["box", "discarded", "tools"].map((name) => join(parent, name)) as [
      string,
      string,
      string,
    ];
    for (const each of [folder, tools]) mkdirSync(each);
    writeFileSync(join(folder, "record"), "x");
    writeFileSync(join(tools, "rm"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const child = spawn("/bin/sh", [GUARDIAN, folder, discarded, "sleep", "60"], {
      stdio: ["pipe", "ignore", "ignore", "ignore", "ignore", "pipe"],
      cwd: "/",
      env: { PATH: `${tools}:${process.env.PATH}` },
    });
    const [lifetime] = child.stdio.slice(5) as unknown as [Socket];
    await once(lifetime, "data");
    child.stdin?.end("go\n");
    lifetime.destroy();
    await once(child, "close");
    await eventually(() => !existsSync(folder), "the folder is gone");
    expect(readdirSync(discarded)).toEqual(["record"]);
    rmSync(parent, { recursive: true });
  });
});
