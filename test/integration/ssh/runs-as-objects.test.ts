import { getEventListeners } from "node:events";
import { PassThrough } from "node:stream";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { Run } from "../../../src/sandbox/command/run.ts";
import type { RunOptions } from "../../../src/sandbox/command/run-options.ts";
import { type GuestRunner, startGuestRunner } from "../../support/guest-runner.ts";

let own: GuestRunner;
beforeEach(async () => {
  own = await startGuestRunner();
});
afterEach(() => own.close());

const run = (command: string, options?: RunOptions) =>
  new Run(own.context, command, { shell: "raw", ...options });

describe("what console.log shows of a run", () => {
  const secret = { env: { KEY: "hunter2" }, stdin: "hunter2" };

  it("is its command and how it stands, and nothing of its options", async () => {
    const running = run("echo a;\n exit 3", secret);
    expect(inspect(running)).toBe('Run { command: "echo a; exit 3", status: "running" }');
    await running;
    expect(inspect(running)).toBe('Run { command: "echo a; exit 3", status: "exited", exitCode: 3 }');
    const killed = run("kill -9 $$", secret);
    await killed;
    expect(inspect([killed])).toBe(
      '[\n  Run { command: "kill -9 $$", status: "exited", exitCode: 137, signal: "SIGKILL" }\n]',
    );
  });

  it("is a failure's code, which stays the caller's to handle", async () => {
    const late = run("sleep 9", { ...secret, timeout: 0.2 });
    await expect(late).rejects.toThrow(/did not finish/);
    expect(inspect(late)).toBe('Run { command: "sleep 9", status: "failed", error: "OPERATION_TIMEOUT" }');
    const bad = run("x".repeat(100), { ...secret, timeout: -1 });
    await expect(bad).rejects.toThrow(ValidationError);
    expect(inspect(bad)).toBe('Run { status: "failed", error: "VALIDATION" }');
  });
});

describe("the source of a run that is refused", () => {
  const BAD: RunOptions[] = [
    ...[{ timeout: -1 }, { shell: "none" }, { env: { "": "" } }, { cwd: "" }, { user: "" }, { pty: 1 }],
    ...[{ maxOutputBytes: 0 }, { check: 1 }, { signal: {} }, { onStdout: 1 }, { onStderr: 1 }, { nope: 1 }],
  ] as unknown as RunOptions[];

  it.each(BAD)("is as it was, and nothing of it is read (%j)", async (bad) => {
    const stdin = new PassThrough();
    stdin.on("error", () => {});
    stdin.write("first");
    const counts = () => ["data", "readable", "end", "close"].map((name) => stdin.listenerCount(name));
    const before = counts();
    const errors = stdin.listenerCount("error");
    await expect(run("cat", { stdin, ...bad })).rejects.toThrow(ValidationError);
    await expect(run("", { stdin })).rejects.toThrow(ValidationError);
    expect(counts()).toEqual(before);
    expect(stdin.listenerCount("error")).toBeLessThanOrEqual(errors + 1); // its failure is to end no program
    expect([stdin.readableFlowing, stdin.destroyed]).toEqual([null, false]);
    expect((await run("head -n 1", { stdin: stdin.end("\n") })).stdout).toBe("first\n");
  });

  it("has nobody who watches its signal, and no iteration", async () => {
    let isAsked = false;
    const stdin = {
      [Symbol.asyncIterator]() {
        isAsked = true;
        return { next: async () => ({ done: true as const, value: undefined }) };
      },
    };
    const { signal } = new AbortController();
    await expect(run("cat", { stdin, signal, timeout: -1 })).rejects.toThrow(ValidationError);
    expect([isAsked, getEventListeners(signal, "abort")]).toEqual([false, []]);
  });
});

describe("a byte order mark", () => {
  it("stays where it is, at the beginning and in between, for each who reads", async () => {
    const script =
      "printf '\\357\\273\\277id,\\357\\273\\277name\\n'; sleep 0.2; printf '\\357\\273\\277end'";
    const expected = "\ufeffid,\ufeffname\n\ufeffend";
    const heard = { stdout: "", stderr: "" };
    const running = run(`${script}; { ${script}; } >&2`, {
      onStdout: (text) => {
        heard.stdout += text;
      },
      onStderr: (text) => {
        heard.stderr += text;
      },
    });
    const read = { stdout: "", stderr: "" };
    for await (const { stream, text } of running) read[stream] += text;
    const { stdout, stderr } = await running;
    for (const seen of [read, heard, { stdout, stderr }])
      expect(seen).toEqual({ stdout: expected, stderr: expected });
  });
});
