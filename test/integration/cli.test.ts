import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { CLI, requireBuilt, runCli, startCli } from "../setup/cli-process.ts";
import { REPOSITORY } from "../setup/sources.ts";

const version = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")).version;

async function shell(script: string): Promise<{ stdout: string; stderr: string }> {
  requireBuilt();
  const env = { ...process.env, SMOLVM: `${process.execPath} ${CLI}` };
  return promisify(execFile)("/bin/sh", ["-c", script], { env });
}

describe("the smolvm process", () => {
  it("prints the package's version", async () => {
    expect(await runCli(["--version"])).toEqual({
      status: 0,
      signal: null,
      stdout: `${version}\n`,
      stderr: "",
    });
  });

  it("prints help on stdout, with status 0", async () => {
    const { status, stdout, stderr } = await runCli(["run", "--help"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("smolvm run -- uname -a");
  });

  it.each([
    [["rnu"], "Did you mean run?"],
    [["run", "--memry", "1G", "x"], "Did you mean --memory?"],
    [["run", "--timeout", "soon", "x"], '"500ms"'],
    [["run", "--memory", "1", "x"], "--memory, in MiB, must be a whole number from 128 to 65536; given 1."],
    [["run", "--cpus", "99", "x"], "--cpus must be"],
    [["create", "--host-memory", "1"], "--host-memory, in MiB, must be"],
    [["run", "--timeout", "0", "x"], "above 0"],
    [["run", "--", " "], "The command is empty"],
    [["run", "--image", "No Such", "x"], "image must be"],
    [["run"], "-it for a shell"],
    [["run", "-it"], "standard input is none"],
    [["run", "-t", "--", "ls"], "standard input is none"],
  ])("%j → 2, a hint on stderr, nothing on stdout", async (argv, hint) => {
    const { status, stdout, stderr } = await runCli(argv);
    expect(stderr).toContain(hint);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  it("wrong usage is a JSON document where one was asked for", async () => {
    const { status, stdout, stderr } = await runCli(["run", "--json", "--memory", "1", "x"]);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: "VALIDATION",
        message: expect.stringContaining("--memory, in MiB,"),
        remediation: "Usage: smolvm run [options] [command...]\nMore about it: smolvm run --help",
      },
    });
    expect({ status, stderr }).toEqual({ status: 2, stderr: "" });
  });

  it("a reader that goes away after one line is no error", async () => {
    const { stdout, stderr } = await shell(
      "$SMOLVM run --help | head -1; $SMOLVM --help | true; $SMOLVM --version | true; $SMOLVM nope 2>&1 | true",
    );
    expect(stdout).toMatch(/^Usage: smolvm run/);
    expect(stderr).toBe("");
  });

  it.each([
    [["exec", "no-such-machine", "x"], 125],
    [["rnu"], 2],
  ])("%j has its own status where nobody reads stderr", async (argv, status) => {
    const { child, ended } = startCli(argv);
    child.stderr?.destroy();
    expect(await ended).toMatchObject({ status, signal: null, stdout: "" });
  });

  it("a full disk under stdout is said and is status 125", async () => {
    const { stdout } = await shell("$SMOLVM image ls > /dev/full 2> /dev/null; echo $?");
    expect(stdout).toBe("125\n");
  });
});
