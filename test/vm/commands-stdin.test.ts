import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { countProcesses, untilPrinted } from "../support/in-guest.ts";

const MIB = 1024 * 1024;

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

describe("stdin", () => {
  it.each(["login", "raw"] as const)(
    "comes back byte for byte, 10 MiB of it, in a %s shell",
    async (shell) => {
      const bytes = randomBytes(10 * MIB);
      const { stdoutBytes, exitCode } = await vm.run("cat", { stdin: bytes, shell, timeout: 100 });
      expect(exitCode).toBe(0);
      expect(Buffer.compare(stdoutBytes, bytes)).toBe(0);
    },
  );

  it("is closed where none is given, also for what a script and its children read", async () => {
    const script = "cat; read x; echo $?; sh -c 'read y; echo $?'; (cat; cat) | wc -c";
    for (const shell of ["login", "raw"] as const) {
      expect((await vm.run(script, { shell, timeout: 10 })).stdout).toBe("1\n1\n0\n");
    }
    expect((await vm.run(["cat"], { timeout: 10 })).stdout).toBe("");
  });

  it("is a string's UTF-8, or any bytes, or nothing", async () => {
    expect((await vm.run("od -An -tx1", { stdin: "é😀\0" })).output).toBe("c3 a9 f0 9f 98 80 00");
    expect((await vm.run("od -An -tx1", { stdin: new Uint8Array([0, 255, 1, 10]) })).output).toBe(
      "00 ff 01 0a",
    );
    expect((await vm.run("wc -c", { stdin: new Uint8Array() })).output).toBe("0");
  });

  it("is a command's own where the script is long as well", async () => {
    const script = `cat\n# ${"x".repeat(100_000)}\necho end`;
    expect((await vm.run(script, { stdin: "mine\n" })).stdout).toBe("mine\nend\n");
    const argv = ["sh", "-c", 'cat; printf %s "$1" | wc -c', "sh", "y".repeat(50_000)];
    expect((await vm.run(argv, { stdin: "mine\n" })).stdout).toBe("mine\n50000\n");
  });

  it("is a file's stream, or what an async generator yields, in order", async () => {
    const folder = await mkdtemp(join(tmpdir(), "smolvm-stdin-"));
    try {
      const bytes = randomBytes(MIB);
      await writeFile(join(folder, "in"), bytes);
      const fromFile = await vm.run("cat", { stdin: createReadStream(join(folder, "in")) });
      expect(Buffer.compare(fromFile.stdoutBytes, bytes)).toBe(0);
    } finally {
      await rm(folder, { recursive: true });
    }
    async function* pieces() {
      yield "é";
      await sleep(50);
      yield new Uint8Array([0, 1]);
      yield "";
      yield Buffer.from("end");
    }
    expect((await vm.run("od -An -c", { stdin: pieces() })).output).toBe("303 251  \\0 001   e   n   d");
    expect((await vm.run("cat", { stdin: Readable.from(["a", "b"]) })).stdout).toBe("ab");
  });

  it.each([
    [
      "a Readable",
      () =>
        new Readable({
          read() {
            setTimeout(() => this.destroy(new Error("source broke")), 100);
          },
        }),
    ],
    [
      "a generator",
      async function* () {
        yield "x";
        throw new Error("source broke");
      },
    ],
  ])("of %s that fails ends the command, with the source's error", async (_, source) => {
    await expect(vm.run("cat; exec sleep 4811", { stdin: source() })).rejects.toThrow("source broke");
    expect(await countProcesses(vm, "sleep 4811")).toBe(0);
    expect(await countProcesses(vm, "cat")).toBe(0);
  });

  it("of a generator that yields what is no text and no bytes is a TypeError", async () => {
    const numbers = Readable.from([1, 2]) as AsyncIterable<string>;
    await expect(vm.run("cat", { stdin: numbers })).rejects.toThrow(TypeError);
  });

  it("that nobody reads, or not to its end, holds nothing up, and the source is let go", async () => {
    expect((await vm.run("true", { stdin: randomBytes(10 * MIB) })).exitCode).toBe(0);
    let isLetGo = false;
    async function* endless() {
      try {
        for (;;) yield randomBytes(10_000);
      } finally {
        isLetGo = true;
      }
    }
    expect((await vm.run("head -c 100000 | wc -c", { stdin: endless() })).output).toBe("100000");
    await eventually(() => isLetGo, "the generator was left");
    const silent = new Readable({ read() {} });
    expect((await vm.run("echo over", { stdin: silent })).output).toBe("over");
    silent.destroy();
    expect((await vm.run("echo next")).output).toBe("next");
  });

  it("of a source that runs ahead is held back by a command that does not read", async () => {
    let pulled = 0;
    async function* ahead() {
      for (;;) {
        pulled += 64 * 1024;
        yield Buffer.alloc(64 * 1024);
      }
    }
    const run = vm.run("echo begun; exec sleep 4812", { stdin: ahead() });
    await untilPrinted(run, "begun");
    let before = -1;
    await eventually(
      async () => {
        const isStill = pulled === before;
        before = pulled;
        await sleep(300);
        return isStill;
      },
      "the source is held back",
      30_000,
    );
    expect(pulled).toBeLessThan(16 * MIB);
    run.kill("SIGKILL");
    expect((await run).signal).toBe("SIGKILL");
  });
});

describe('stdin: "pipe"', () => {
  it("is a Writable for a dialogue with the command", async () => {
    const run = vm.run('while read -r line; do echo "got $line"; done; echo end', { stdin: "pipe" });
    run.stdin?.write("early\n");
    const chunks = await untilPrinted(run, "got early\n");
    run.stdin?.write("a \\ b\n");
    expect((await chunks.next()).value.text).toBe("got a \\ b\n");
    run.stdin?.end("last\n");
    expect((await run).stdout).toBe("got early\ngot a \\ b\ngot last\nend\n");
  });

  it("takes 10 MiB with backpressure, and says when all is written", async () => {
    const run = vm.run("wc -c", { stdin: "pipe", timeout: 100 });
    const { stdin } = run;
    if (!stdin) throw new Error("no stdin");
    const bytes = Buffer.alloc(MIB);
    let refusals = 0;
    for (let n = 0; n < 10; n++) {
      if (!stdin.write(bytes)) {
        refusals++;
        await new Promise((resolve) => stdin.once("drain", resolve));
      }
    }
    stdin.end();
    await finished(stdin);
    expect(refusals).toBe(10);
    expect((await run).output).toBe(String(10 * MIB));
  });

  it("is destroyed with the command, and writing to it then is no crash", async () => {
    const run = vm.run("head -c 1", { stdin: "pipe" });
    run.stdin?.write("xyz");
    expect((await run).stdout).toBe("x");
    expect(run.stdin?.destroyed).toBe(true);
    run.stdin?.write("more");
    expect(vm.run("true").stdin).toBe(null);
  });

  it("that is never ended ends with the timeout, like all the rest", async () => {
    const run = vm.run("exec cat", { stdin: "pipe", timeout: 1 });
    run.stdin?.write("so far");
    await expect(run).rejects.toMatchObject({ code: "OPERATION_TIMEOUT", stdout: "so far" });
    expect(await countProcesses(vm, "cat")).toBe(0);
  });
});
