import { describe, expect, it } from "vitest";
import { BootError, HostError, OperationAbortedError, OperationTimeoutError } from "../../../src/errors.ts";
import { type Blame, blameFor } from "../../../src/sandbox/boot/blame.ts";
import { DamageError } from "../../../src/state/damage.ts";

const GENEROUS_MS = 60_000;
const LOST = "qemu-system-x86_64: load of migration failed: Invalid argument";

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: no, open 'memory'`), { code, syscall: "open" });
}

function boot(
  output: string,
  options: { cause?: unknown; endedBy?: string; console?: string } = {},
): BootError {
  const { cause, endedBy = null, console: consoleTail = "" } = options;
  return new BootError(
    "It did not come up.",
    { commandLine: "", qemuOutput: output, consoleTail },
    { cause, details: { endedBy } },
  );
}

const late = (seconds: number) => boot("", { cause: new OperationTimeoutError("Restoring", seconds) });

describe("whose fault it is that a clone did not come up", () => {
  it.each<[string, unknown, Blame]>([
    ["a content that is another", new DamageError("its state has changed"), "files"],
    ["the same, behind another error", new HostError("no", { cause: new DamageError("it") }), "files"],
    ["a state that QEMU refuses", boot(LOST), "files"],
    ["a panic of the restored guest", boot("", { console: "Kernel panic - not syncing: x" }), "files"],
    ["an abort", new OperationAbortedError("Starting"), "host"],
    ...["EMFILE", "ENOMEM", "ENOSPC", "EIO", "EDQUOT", "EACCES"].map((code): [string, unknown, Blame] => [
      code,
      errno(code),
      "host",
    ]),
    ["no shell to be started", new HostError("/bin/sh can't be started", { cause: errno("EMFILE") }), "host"],
    ["QEMU without memory", boot("cannot set up guest memory 'ram': Cannot allocate memory"), "host"],
    ["a state that could not be taken for want of memory", boot(`${LOST}\nCannot allocate memory`), "host"],
    ["QEMU killed", boot("", { endedBy: "SIGKILL" }), "host"],
    ["a conversation that broke off", boot("", { cause: errno("ECONNRESET") }), "unclear"],
    ["QEMU crashed", boot("", { endedBy: "SIGSEGV" }), "unclear"],
    ["QEMU that ends without a word", boot(""), "unclear"],
    ["a guest that hangs for long", late(60), "unclear"],
  ])("%s", (_, error, blame) => {
    const signal = new AbortController().signal;
    expect(blameFor(error, { signal, timeoutMs: GENEROUS_MS })).toBe(blame);
  });

  it("is nobody's where the caller had little time, or has left", () => {
    const { signal } = new AbortController();
    expect(blameFor(late(0.15), { signal, timeoutMs: 150 })).toBe("host");
    expect(blameFor(late(39), { signal, timeoutMs: 39_000 })).toBe("host");
    expect(blameFor(boot(LOST), { signal: AbortSignal.abort(), timeoutMs: GENEROUS_MS })).toBe("host");
  });
});
