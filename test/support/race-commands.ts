import { strict as assert } from "node:assert";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type CommandResult,
  OperationAbortedError,
  OperationTimeoutError,
  type Run,
  type SmolVM,
} from "../../src/index.ts";
import type { Random } from "./random.ts";

/** How a command that was interfered with may end: as if nobody had, or as this says. */
type Ending = (end: CommandResult | Error) => boolean;

/** Long: the computer that tests this may have a lot to do. */
const LONG_SECONDS = 300;
const SIGNALS = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"] as const;

const isTimeout: Ending = (end) => end instanceof OperationTimeoutError;
const isAbort: Ending = (end) => end instanceof OperationAbortedError;
const isSignal =
  (name: string): Ending =>
  (end) =>
    !(end instanceof Error) && end.signal === name;

/**
 * A command that takes some ten milliseconds, and what is done to it about when it begins or ends. Rejects where the end is none
 * of those that can be meant.
 */
export async function race(vm: SmolVM, random: Random, n: number): Promise<string> {
  const shell = random(2) ? "login" : "raw";
  const pty = random(10) === 0;
  const stdin = !pty && random(5) === 0 ? "unread\n".repeat(random(300)) : "";
  const controller = new AbortController();
  const inMs = random(3) === 0 ? random(12) : random(600); // also on a slow computer some end by themselves
  const deed = (["timeout", "abort", "kill", "kill", "leave"] as const)[random(5)] ?? "kill";
  const timeout = deed === "timeout" ? `${inMs + 1}ms` : LONG_SECONDS;
  const run = vm.run(scriptOf(random, n), {
    shell,
    timeout,
    signal: controller.signal,
    ...(pty ? { pty } : { stdin }),
  });
  const permitted = interfere(deed, run, controller, inMs, random);
  if (deed === "leave") return await leave(run, inMs);
  const end: CommandResult | Error = await run.catch((error) => error as Error);
  if (permitted.some((isPermitted) => isPermitted(end))) return deed;
  assert.ok(!(end instanceof Error), `${deed} after ${inMs} ms ended in ${end}`);
  assert.deepEqual(
    [end.stdout.replaceAll("\r", ""), end.stderr, end.exitCode, end.signal],
    [`${n}\n`, "", 0, null],
    `${deed} after ${inMs} ms`,
  );
  return "its own end";
}

function scriptOf(random: Random, n: number): string {
  const pause = ["", `sleep 0.0${random(10)};`, `sleep 0.0${random(10)} & wait $!;`][random(3)];
  return `${pause} echo ${n}`;
}

function interfere(
  deed: "timeout" | "abort" | "kill" | "leave",
  run: Run,
  controller: AbortController,
  inMs: number,
  random: Random,
): Ending[] {
  if (deed === "timeout") return [isTimeout];
  if (deed === "leave") return [];
  if (deed === "abort") {
    setTimeout(() => controller.abort(), inMs);
    return [isAbort];
  }
  const name = SIGNALS[random(SIGNALS.length)] ?? "SIGKILL";
  setTimeout(() => run.kill(name), inMs);
  return [isAbort, isSignal(name)];
}

/** Leaves the iteration with the first output, or soon after. */
async function leave(run: Run, inMs: number): Promise<string> {
  for await (const chunk of run) {
    if (inMs % 2) await sleep(inMs / 4);
    if (chunk.text !== "") break;
  }
  return "leave";
}

/** A command that answers line by line for as long as it is wanted: what is meant for others must not end it. */
export function startNeighbour(vm: SmolVM, name: string) {
  const run = vm.run(`while read -r word; do echo "${name} $word"; done; echo over`, {
    stdin: "pipe",
    timeout: null,
  });
  const output = run[Symbol.asyncIterator]();
  let text = "";
  const until = async (line: string) => {
    while (!text.includes(line)) {
      const { value, done } = await output.next();
      assert.ok(!done, `neighbour ${name} ended before it said ${JSON.stringify(line)}`);
      text += value.text;
    }
    text = text.slice(text.indexOf(line) + line.length);
  };
  return {
    async ask(word: string): Promise<void> {
      run.stdin?.write(`${word}\n`);
      await until(`${name} ${word}\n`);
    },
    async end(): Promise<void> {
      run.stdin?.end();
      await until("over\n");
      assert.equal((await run).exitCode, 0);
    },
  };
}
