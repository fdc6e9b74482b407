import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { CommandFailedError } from "../../../src/errors.ts";
import { Capture } from "../../../src/ssh/command/capture.ts";
import { formatResult } from "../../../src/ssh/command/result.ts";

function resultOf(text: string, mostBytes = 1_000) {
  const [stdout, stderr] = [new Capture(mostBytes), new Capture(mostBytes)];
  stdout.add(Buffer.from(text));
  stderr.add(Buffer.from("oh no\n"));
  const times = { durationMs: 12, queueMs: 0, connectMs: 0, firstByteMs: 1 };
  return formatResult("make", { code: 2 }, { stdout, stderr }, times);
}

describe("a command's result", () => {
  it("is shown with its text, and without its bytes, also as a part of an error", () => {
    const result = resultOf("häuser\n");
    expect(inspect(result)).toBe(
      "CommandResult { exitCode: 2, stdout: 'häuser\\n', stderr: 'oh no\\n', durationMs: 12 }",
    );
    expect(inspect(new CommandFailedError(result))).toContain("stderr: 'oh no\\n'");
    expect(inspect(new CommandFailedError(result))).not.toMatch(/Getter|Uint8Array|Buffer/);
  });

  it("says when it is shown that something was dropped", () => {
    expect(inspect(resultOf("x".repeat(5_000)))).toContain("truncated: { stdout: true, stderr: false }");
  });

  it("has its own properties only", () => {
    expect(Object.keys(resultOf(""))).toContain("stdoutBytes");
    expect(resultOf("")).toEqual({ ...resultOf("") });
  });
});
