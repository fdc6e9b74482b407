import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM, ValidationError } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { countProcesses, untilPrinted } from "../support/in-guest.ts";

const MIB = 1024 * 1024;

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

/** What the one process of that name has written so far, as the guest's kernel counts it. */
async function bytesWrittenBy(name: string): Promise<number> {
  const { output } = await vm.run(`grep wchar /proc/$(pgrep -x ${name})/io`, { shell: "raw" });
  return Number(output.split(" ")[1]);
}

/** Waits until the count stands still, and returns it. */
async function whenStill(name: string): Promise<number> {
  let before = -1;
  await eventually(
    async () => {
      const now = await bytesWrittenBy(name);
      const isStill = now === before;
      before = now;
      await sleep(300);
      return isStill;
    },
    `${name} stands still`,
    60_000,
  );
  return before;
}

describe("a reader that iterates", () => {
  it("gets the output of both streams in the order of its arrival", async () => {
    const seen: string[] = [];
    const script = "for i in 1 2 3; do echo out$i; sleep 0.1; echo err$i >&2; sleep 0.1; done";
    for await (const { stream, text, bytes } of vm.run(script)) {
      expect(Buffer.from(bytes).toString()).toBe(text);
      seen.push(`${stream}:${text}`);
    }
    expect(seen.join("")).toBe([1, 2, 3].map((n) => `stdout:out${n}\nstderr:err${n}\n`).join(""));
  });

  it("gets all of stderr of a command that ends at once, by each way to a shell and however slowly it is read", async () => {
    for (const shell of ["raw", "login"] as const)
      for (const length of [5, 3_000_000]) {
        const script = `head -c ${length} /dev/zero >&2`;
        for (let i = 0; i < 3; i++) expect((await vm.run(script, { shell })).stderrBytes.length).toBe(length);
        await sleep(300); // a shell waits by now
        let read = 0;
        for await (const { bytes } of vm.run(script, { shell })) {
          if (read === 0) await sleep(500);
          read += bytes.length;
        }
        expect(read).toBe(length);
      }
  });

  it("stops the guest's writer when it stops, and lets it go on when it goes on", async () => {
    const run = vm.run("exec yes", { timeout: null });
    const chunks = run[Symbol.asyncIterator]();
    await chunks.next();
    const stoppedAt = await whenStill("yes");
    // The channel's window, the pipe, and what waits here.
    expect(stoppedAt).toBeLessThan(8 * MIB);
    let read = 0;
    while (read < 3 * MIB) read += (await chunks.next()).value?.bytes.length ?? 0;
    expect(await whenStill("yes")).toBeGreaterThan(stoppedAt + MIB);
    await chunks.return?.();
    expect(await countProcesses(vm, "yes")).toBe(0);
  });

  it("kills the command by leaving, with all that it started", async () => {
    const script = "(setsid sleep 4801 &); trap '' TERM; echo begun; while :; do sleep 4801; done";
    for await (const { text } of vm.run(script, { timeout: null })) {
      expect(text).toBe("begun\n");
      break;
    }
    expect(await countProcesses(vm, "sleep 4801")).toBe(0);
    const thrown = (async () => {
      for await (const _ of vm.run("echo begun; exec sleep 4802")) throw new Error("mine");
    })();
    await expect(thrown).rejects.toThrow("mine");
    expect(await countProcesses(vm, "sleep 4802")).toBe(0);
  });

  it("reads the result as well, and can't begin twice", async () => {
    const run = vm.run("echo a; exit 4");
    let text = "";
    for await (const chunk of run) text += chunk.text;
    expect(await run).toMatchObject({ stdout: "a\n", exitCode: 4 });
    expect(text).toBe("a\n");
    expect(() => run[Symbol.asyncIterator]()).toThrow(ValidationError);
  });
});

describe("output without end", () => {
  it("leaves the host's memory as it is, and its head and its tail in the result", async () => {
    const memory = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
    const before = memory();
    let most = before;
    let received = 0;
    const result = await vm.run(`echo HEAD; head -c ${64 * MIB} /dev/zero; echo TAIL; exit 5`, {
      maxOutputBytes: MIB,
      timeout: 100,
      onStdout: (_, bytes) => {
        received += bytes.length;
        most = Math.max(most, memory());
      },
    });
    expect(received).toBe(64 * MIB + 10);
    expect(most - before).toBeLessThan(48 * MIB);
    expect(result).toMatchObject({ exitCode: 5, truncated: { stdout: true, stderr: false } });
    expect(result.stdoutBytes.length).toBe(MIB);
    expect(Buffer.from(result.stdoutBytes).subarray(0, 5).toString()).toBe("HEAD\n");
    expect(Buffer.from(result.stdoutBytes).subarray(-5).toString()).toBe("TAIL\n");
  });

  it("is cut in its middle, to the byte, on each stream by itself", async () => {
    const all = Array.from({ length: 50_000 }, (_, n) => `${n}\n`).join("");
    const kept = all.slice(0, 501) + all.slice(-500);
    const both = await vm.run("seq 0 49999; seq 0 49999 >&2; echo end >&2", { maxOutputBytes: 1001 });
    expect(both.truncated).toEqual({ stdout: true, stderr: true });
    expect(both.stdout).toBe(kept);
    expect(both.stderr).toBe(`${all}end\n`.slice(0, 501) + `${all}end\n`.slice(-500));
    const exact = await vm.run("seq 0 49999", { maxOutputBytes: all.length });
    expect([exact.stdout === all, exact.truncated.stdout]).toEqual([true, false]);
  });

  it.each([
    ["stderr", "stdout"],
    ["stdout", "stderr"],
  ] as const)("on %s does not stall what %s says after it", async (first, then) => {
    const to = (stream: string) => (stream === "stderr" ? ">&2" : "");
    const result = await vm.run(`seq 1 500000 ${to(first)}; echo small ${to(then)}`, { timeout: 60 });
    expect(result[then]).toBe("small\n");
    expect(result[first].length).toBe(3_388_895);
  });
});

describe("listeners", () => {
  it("get each stream's text, no character torn, and the bytes", async () => {
    const text: Record<string, string> = { out: "", err: "" };
    const bytes: Uint8Array[] = [];
    const script =
      "printf '\\303'; sleep 0.2; printf '\\251\\360\\237'; sleep 0.2; printf '\\230\\200 \\377'; echo err >&2";
    await vm.run(script, {
      onStdout: (piece, raw) => {
        text.out += piece;
        bytes.push(raw);
      },
      onStderr: (piece) => {
        text.err += piece;
      },
    });
    expect(text).toEqual({ out: "é😀 \ufffd", err: "err\n" });
    expect(Buffer.concat(bytes).toString("hex")).toBe("c3a9f09f988020ff");
  });

  it.each(["onStdout", "onStderr"] as const)(
    "that throw in %s end the command, and their error is the run's",
    async (name) => {
      const run = vm.run("echo out; echo err >&2; exec sleep 4803", {
        [name]: () => {
          throw new TypeError("not today");
        },
      });
      await expect(run).rejects.toThrow(new TypeError("not today"));
      expect(await countProcesses(vm, "sleep 4803")).toBe(0);
    },
  );
});

describe("eight listeners whose promises never settle", () => {
  it("hold back what floods them, cost the host little, and end with the timeout", async () => {
    const memory = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
    const before = memory();
    let most = before;
    const runs = Array.from({ length: 8 }, () =>
      vm.run("yes", {
        timeout: 4,
        maxOutputBytes: 1024,
        onStdout: () => {
          most = Math.max(most, memory());
          return new Promise(() => {});
        },
      }),
    );
    const ends = await Promise.allSettled(runs);
    for (const end of ends) expect(end).toMatchObject({ reason: { code: "OPERATION_TIMEOUT" } });
    expect(most - before).toBeLessThan(64 * MIB);
    expect(await countProcesses(vm, "yes")).toBe(0);
  });
});

describe("kill()", () => {
  it("lets the command answer SIGTERM as it likes, and its result is an ordinary one", async () => {
    const run = vm.run("trap 'echo bye; exit 3' TERM; echo begun; while :; do sleep 0.1; done");
    await untilPrinted(run, "begun");
    run.kill();
    expect(await run).toMatchObject({ exitCode: 3, signal: null, stdout: "begun\nbye\n" });
  });

  it.each(["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGKILL"])(
    "by %s tells the signal",
    async (signal) => {
      const run = vm.run("echo begun; exec sleep 4804");
      await untilPrinted(run, "begun");
      // Bash itself ignores SIGQUIT: the signal counts from when `sleep` has taken its place.
      await eventually(async () => (await countProcesses(vm, "sleep 4804")) === 1, "it sleeps");
      run.kill(signal);
      expect(await run).toMatchObject({ signal, ok: false, stdout: "begun\n" });
      expect(await countProcesses(vm, "sleep 4804")).toBe(0);
    },
  );

  it("reaches every process of the command, and SIGKILL none that could refuse", async () => {
    const ignoring = "trap '' TERM HUP INT; (setsid sleep 4805 &); (sh -c 'sleep 4805 & wait' &)";
    const run = vm.run(`${ignoring}; echo begun; while :; do sleep 0.1; done`);
    await untilPrinted(run, "begun");
    run.kill("SIGTERM");
    await sleep(300);
    expect(await countProcesses(vm, "sleep 4805")).toBe(2);
    run.kill("SIGKILL");
    expect(await run).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    expect(await countProcesses(vm, "sleep 4805")).toBe(0);
  });

  it("stops a command and has it go on", async () => {
    const run = vm.run("echo begun; exec sleep 4806");
    await untilPrinted(run, "begun");
    const state = async () => (await vm.run("ps -o stat= -p $(pgrep -fx 'sleep 4806')")).output[0];
    run.kill("SIGSTOP");
    await eventually(async () => (await state()) === "T", "it is stopped");
    run.kill("SIGCONT");
    await eventually(async () => (await state()) === "S", "it goes on");
    run.kill("SIGKILL");
    await run;
  });

  it("is of no matter once the command has ended, and refuses what is no signal", async () => {
    const run = vm.run("exit 6");
    expect((await run).exitCode).toBe(6);
    run.kill("SIGKILL");
    expect(() => run.kill("SIGNOPE")).toThrow(ValidationError);
    expect((await vm.run("echo next")).output).toBe("next");
  });

  it("before the command began makes it one that never ran", async () => {
    const run = vm.run("touch /tmp/killed-early");
    run.kill("SIGKILL");
    await expect(run).rejects.toMatchObject({ code: "OPERATION_ABORTED" });
    expect((await vm.run("ls /tmp/killed-early")).ok).toBe(false);
  });
});
