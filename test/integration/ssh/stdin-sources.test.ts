import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { connect, createServer } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationTimeoutError, ValidationError, VMStateError } from "../../../src/errors.ts";
import { Run } from "../../../src/sandbox/command/run.ts";
import type { RunOptions } from "../../../src/sandbox/command/run-options.ts";
import { eventually } from "../../support/eventually.ts";
import { type GuestRunner, startGuestRunner } from "../../support/guest-runner.ts";

let own: GuestRunner;
const uncaught: unknown[] = [];
const note = (error: unknown) => uncaught.push(error);
process.on("unhandledRejection", note);
process.on("uncaughtException", note);
afterAll(() => {
  process.off("unhandledRejection", note);
  process.off("uncaughtException", note);
});

beforeEach(async () => {
  uncaught.length = 0;
  own = await startGuestRunner();
});
afterEach(async () => {
  await own.close();
  await sleep(20);
  expect(uncaught).toEqual([]);
});

const run = (command: string | readonly string[], options?: RunOptions) =>
  new Run(own.context, command, { shell: "raw", ...options });
/** Far above what any of these takes, and below the test's own time. */
const SOON = { timeout: 20 } as const;
const MISSING = "/no/such/file";

describe("a source that fails", () => {
  it("from the start is what run() rejects with", async () => {
    await expect(run("cat", { ...SOON, stdin: createReadStream(MISSING) })).rejects.toMatchObject({
      code: "ENOENT",
    });
  });

  it("is no uncaught error where the run fails before it is read", async () => {
    const refused = new Run(
      async () => {
        await sleep(50);
        throw new VMStateError("The machine is not started.");
      },
      "cat",
      { stdin: createReadStream(MISSING) },
    );
    await expect(refused).rejects.toMatchObject({ code: "ENOENT" });
    const stdin = createReadStream(MISSING);
    await expect(run("cat", { stdin, timeout: -1 })).rejects.toThrow(ValidationError);
    // biome-ignore lint/suspicious/noExplicitAny: an unknown option is the point
    await expect(run("cat", { stdin: createReadStream(MISSING), nope: 1 } as any)).rejects.toThrow(
      ValidationError,
    );
    const signal = AbortSignal.abort();
    await expect(run("cat", { stdin: createReadStream(MISSING), signal })).rejects.toThrow(/aborted/);
  });

  it("midway ends the command, also without a timeout", async () => {
    const broken = new Error("the source broke");
    const stream = Readable.from(
      (async function* () {
        yield "first\n";
        throw broken;
      })(),
    );
    await expect(run("cat", { timeout: null, stdin: stream })).rejects.toBe(broken);
    const iterable = (async function* () {
      yield "first\n";
      throw broken;
    })();
    await expect(run("cat", { timeout: null, stdin: iterable })).rejects.toBe(broken);
    const late = new PassThrough();
    const command = run("cat", { timeout: null, stdin: late });
    setTimeout(() => late.destroy(broken), 100);
    await expect(command).rejects.toBe(broken);
  });

  it("before it was given is the same, and one that gives what is no text or bytes is refused", async () => {
    const stdin = new PassThrough();
    stdin.on("error", () => {});
    stdin.destroy(new Error("broken before"));
    await sleep(10);
    await expect(run("cat", { ...SOON, stdin })).rejects.toThrow("broken before");
    const numbers = Readable.from([1]) as Readable;
    await expect(run("cat", { ...SOON, stdin: numbers })).rejects.toThrow(/gave number/);
  });

  it("after the command's end is nobody's", async () => {
    const stdin = new PassThrough();
    stdin.write("one\n");
    expect((await run("head -n 1", { ...SOON, stdin })).stdout).toBe("one\n");
    stdin.emit("error", new Error("late"));
  });
});

describe("a source that is destroyed without an error", () => {
  it("has come to its end, whenever that was", async () => {
    const before = new PassThrough();
    before.destroy();
    expect((await run("cat; echo end", { ...SOON, stdin: before })).stdout).toBe("end\n");
    const midway = new PassThrough();
    midway.write("some\n");
    const onStdout = () => midway.destroy();
    expect((await run("cat; echo end", { ...SOON, stdin: midway, onStdout })).stdout).toBe("some\nend\n");
    const read = Readable.from(["all"]);
    for await (const _ of read);
    expect((await run("cat; echo end", { ...SOON, stdin: read })).stdout).toBe("end\n");
  });
});

describe("run.stdin", () => {
  it("destroyed is the end of the input, behind what was sent", async () => {
    const command = run("cat; echo end", { timeout: null, stdin: "pipe" });
    command.stdin?.write("some\n");
    await sleep(200);
    command.stdin?.destroy();
    expect((await command).stdout).toBe("some\nend\n");
    const early = run("cat; echo end", { timeout: null, stdin: "pipe" });
    early.stdin?.destroy();
    expect((await early).stdout).toBe("end\n");
  });

  it("destroyed with an error is what run() rejects with, before and after the command has begun", async () => {
    const broken = new Error("gone");
    const early = run("cat", { timeout: null, stdin: "pipe" });
    early.stdin?.destroy(broken);
    await expect(early).rejects.toBe(broken);
    const late = run("cat", { timeout: null, stdin: "pipe" });
    late.stdin?.write("x");
    setTimeout(() => late.stdin?.destroy(broken), 100);
    await expect(late).rejects.toBe(broken);
  });

  it("is broken by a pipeline whose source is, and ended by one that ends", async () => {
    const command = run("cat", { timeout: null, stdin: "pipe" });
    if (!command.stdin) throw new Error("no stdin");
    const piped = pipeline(createReadStream(MISSING), command.stdin).catch(({ code }) => code);
    await expect(command).rejects.toMatchObject({ code: "ENOENT" });
    expect(await piped).toBe("ENOENT");
    const whole = run("cat; echo end", { ...SOON, stdin: "pipe" });
    if (!whole.stdin) throw new Error("no stdin");
    await pipeline(Readable.from(["a", "b"]), whole.stdin);
    expect((await whole).stdout).toBe("abend\n");
  });

  it("that the command did not read to its end is no failure of the command", async () => {
    const command = run("head -c 1", { ...SOON, stdin: "pipe" });
    command.stdin?.on("error", () => {});
    const chunk = Buffer.alloc(256 * 1024);
    const writing = setInterval(() => command.stdin?.destroyed || command.stdin?.write(chunk), 5);
    try {
      expect((await command).exitCode).toBe(0);
    } finally {
      clearInterval(writing);
    }
  });
});

describe("what is left open when the command ends is let go", () => {
  it("a generator is returned to, and its `finally` runs", async () => {
    let isReleased = false;
    async function* source() {
      try {
        for (;;) {
          yield "line\n";
          await sleep(50);
        }
      } finally {
        isReleased = true;
      }
    }
    expect((await run("head -n 1", { ...SOON, stdin: source() })).stdout).toBe("line\n");
    await eventually(() => isReleased, "the generator is over");
  });

  it("a stream is destroyed, also where it was never read", async () => {
    const open = new PassThrough();
    open.write("line\n");
    expect((await run("head -n 1", { ...SOON, stdin: open })).stdout).toBe("line\n");
    expect(open.destroyed).toBe(true);
    const unread = new PassThrough();
    await expect(run("sleep 9", { timeout: 0.3, stdin: unread })).rejects.toThrow(OperationTimeoutError);
    expect(unread.destroyed).toBe(true);
    const never = new PassThrough();
    await expect(
      new Run(() => Promise.reject(new VMStateError("Not started.")), "cat", { stdin: never }),
    ).rejects.toThrow(VMStateError);
    expect(never.destroyed).toBe(true);
  });

  it("a socket stands still, for its other direction may be in use", async () => {
    const server = createServer((peer) => {
      peer.write("line\n");
      peer.pipe(peer);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
    try {
      expect((await run("head -n 1", { ...SOON, stdin: socket })).stdout).toBe("line\n");
      expect([socket.destroyed, socket.isPaused()]).toEqual([false, true]);
      socket.write("echo\n");
      const [answer] = await once(socket.resume(), "data");
      expect(String(answer)).toBe("echo\n");
    } finally {
      socket.destroy();
      server.close();
    }
  });

  it("a program whose standard input stays open can end", async () => {
    const program = `
      const { StdinStream } = await import(${JSON.stringify(new URL("../../../dist/ssh/spec/stdin-stream.js", import.meta.url).href)});
      const source = new StdinStream(process.stdin);
      void source.feed({ isOver: false, writeStdin: async () => {}, endStdin() {} });
      setTimeout(() => source.release(), 200);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
    child.stdin.write("line\n");
    const [code] = await once(child, "exit");
    child.stdin.destroy();
    expect(code).toBe(0);
  });

  it("however many commands read one after the other from a stream, it gets no warning", async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on("warning", warn);
    const server = createServer((peer) => peer.unref()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
    for (let n = 0; n < 15; n++) await run("true", { ...SOON, stdin: socket });
    socket.destroy();
    server.close();
    await sleep(10);
    process.off("warning", warn);
    expect(warnings).toEqual([]);
  });
});

describe("a listener of output", () => {
  it("that rejects ends the command, and run() rejects with it", async () => {
    const error = new Error("from the listener");
    const rejects = async () => {
      await sleep(10);
      throw error;
    };
    await expect(run("echo a; sleep 60", { timeout: null, onStdout: rejects })).rejects.toBe(error);
    await expect(run("echo a >&2; sleep 60", { timeout: null, onStderr: rejects })).rejects.toBe(error);
  });

  it("that rejects after the command's end is what run() rejects with all the same", async () => {
    const error = new Error("late");
    const rejects = async () => {
      await sleep(300);
      throw error;
    };
    await expect(run("echo a", { ...SOON, onStdout: rejects })).rejects.toBe(error);
  });

  it("is waited for, and not past the timeout", async () => {
    let isDone = false;
    const slow = async () => {
      await sleep(300);
      isDone = true;
    };
    await run("echo a", { ...SOON, onStdout: slow });
    expect(isDone).toBe(true);
    const stuck = run("echo a", { timeout: 1, onStdout: () => new Promise(() => {}) });
    await expect(stuck).rejects.toThrow(OperationTimeoutError);
  });
});
