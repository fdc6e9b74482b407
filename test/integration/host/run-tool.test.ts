import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HostError, OperationAbortedError, OperationTimeoutError } from "../../../src/errors.ts";
import { findTool, requireTool } from "../../../src/host/find-tool.ts";
import { findProcess, isAlive } from "../../../src/host/process-identity.ts";
import { runTool } from "../../../src/host/run-tool.ts";

describe("a tool that runs", () => {
  it("gives its exit code and both streams", async () => {
    const result = await runTool("sh", ["-c", "echo out; echo err >&2; exit 3"]);
    expect(result).toEqual({ exitCode: 3, stdout: "out\n", stderr: "err\n" });
  });

  it("tells a signal as a shell does", async () => {
    expect((await runTool("sh", ["-c", "kill -9 $$"])).exitCode).toBe(137);
  });

  it("reads its input, and an empty one by default", async () => {
    expect((await runTool("cat", [], { input: "héllo" })).stdout).toBe("héllo");
    expect((await runTool("cat", [])).stdout).toBe("");
  });

  it("may end without reading its input", async () => {
    expect((await runTool("true", [], { input: Buffer.alloc(1 << 20) })).exitCode).toBe(0);
  });

  it("gets SIGKILL at its deadline, and what it printed is in the error", async () => {
    const error = await runTool("sh", ["-c", "echo early; sleep 2 & wait"], { timeoutMs: 300 }).catch(
      (e) => e,
    );
    expect(error).toBeInstanceOf(OperationTimeoutError);
    expect(error.stdout).toBe("early\n");
  });

  it("ends when its signal fires", async () => {
    const control = new AbortController();
    const run = runTool("sleep", ["60"], { signal: control.signal });
    control.abort();
    await expect(run).rejects.toBeInstanceOf(OperationAbortedError);
    await expect(runTool("sleep", ["60"], { signal: control.signal })).rejects.toBeInstanceOf(
      OperationAbortedError,
    );
  });
});

describe("a tool that is not there", () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "smolvm-tools-"));
    writeFileSync(join(folder, "plain"), "#!/bin/sh\n");
    writeFileSync(join(folder, "program"), "#!/bin/sh\n");
    chmodSync(join(folder, "program"), 0o755);
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  it("is a HostError that names it", async () => {
    const error = await runTool("smolvm-no-such-tool", []).catch((e) => e);
    expect(error).toBeInstanceOf(HostError);
    expect(error.message).toContain("smolvm-no-such-tool");
    expect(error.remediation).toContain("smolvm-no-such-tool");
  });

  it("is not found on PATH, nor is a file that can't be executed or a folder", async () => {
    expect(await findTool("program", { PATH: `/nowhere:${folder}` })).toBe(join(folder, "program"));
    expect(await findTool("plain", { PATH: folder })).toBeUndefined();
    expect(await findTool("integration", { PATH: join(import.meta.dirname, "../..") })).toBeUndefined();
  });

  it("is not found where PATH does not lead to it", async () => {
    expect(await findTool("sh", { PATH: folder })).toBeUndefined();
    expect(await findTool("sh", {})).toBeUndefined();
  });

  it("is refused when required", async () => {
    await expect(requireTool("smolvm-no-such-tool", { PATH: folder })).rejects.toBeInstanceOf(HostError);
  });
});

describe("a process for good", () => {
  it("is alive while it runs, and not any more when its id belongs to another one", async () => {
    const self = await findProcess(process.pid);
    if (self === undefined) throw new Error("this process was not found");
    expect(await isAlive(self)).toBe(true);
    expect(await isAlive({ ...self, startedAt: "1" })).toBe(false);
    expect(await isAlive({ ...self, bootId: "another boot" })).toBe(false);
  });

  it("is absent for an id that nobody has", async () => {
    expect(await findProcess(2 ** 30)).toBeUndefined();
  });
});
