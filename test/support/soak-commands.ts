import { strict as assert } from "node:assert";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CommandExecutionUnavailableError,
  CommandFailedError,
  OperationAbortedError,
  OperationTimeoutError,
  type RunOptions,
  type SmolVM,
} from "../../src/index.ts";
import type { Random } from "./random.ts";

/** Runs one command of its kind, and rejects where what came of it is wrong. `n` is another one for each. */
export type Trial = (vm: SmolVM, random: Random, n: number) => Promise<void>;

/** Long: the computer that tests this may have a lot to do. */
const LONG = { timeout: 300 } as const;

const shellOf = (random: Random) => ({ ...LONG, shell: random(2) ? "login" : "raw" }) as const;

const ODD_WORDS = [
  "",
  "a b",
  "$HOME",
  "`id`",
  "it's",
  '"',
  "\\",
  "*",
  "-n",
  "é→",
  "a\nb",
  "\t#;&|",
  "x".repeat(3000),
];
const oddWord = (random: Random) => ODD_WORDS[random(ODD_WORDS.length)] ?? "";

function randomBytes(random: Random, size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => random(256)));
}

/** What `seq 1 last` prints. */
function sequence(last: number): string {
  return `${Array.from({ length: last }, (_, i) => i + 1).join("\n")}\n`;
}

const script: Trial = async (vm, random, n) => {
  const code = random(4) === 0 ? random(126) : 0;
  const result = await vm.run(`echo out ${n}; echo err ${n} >&2; exit ${code}`, shellOf(random));
  assert.deepEqual([result.stdout, result.stderr, result.exitCode], [`out ${n}\n`, `err ${n}\n`, code]);
};

const argv: Trial = async (vm, random) => {
  const words = Array.from({ length: 1 + random(5) }, () => oddWord(random));
  const result = await vm.run(["printf", "%s|", ...words], shellOf(random));
  assert.deepEqual(
    [result.stdout, result.stderr, result.exitCode, result.signal],
    [words.map((word) => `${word}|`).join(""), "", 0, null],
  );
};

const output: Trial = async (vm, random) => {
  const last = random(40) === 0 ? 150_000 : random(3000) + 1;
  const stream = random(2) ? "stdout" : "stderr";
  const result = await vm.run(`seq 1 ${last}${stream === "stderr" ? " >&2" : ""}`, shellOf(random));
  assert.deepEqual([result.exitCode, result.signal], [0, null]);
  assert.ok(result[stream] === sequence(last), `${stream} of seq ${last}`);
};

const truncation: Trial = async (vm, random) => {
  const result = await vm.run("seq 1 4000; exit 5", { ...shellOf(random), maxOutputBytes: 1000 });
  const whole = sequence(4000);
  assert.deepEqual(
    [result.stdout, result.truncated.stdout, result.exitCode],
    [whole.slice(0, 500) + whole.slice(-500), true, 5],
  );
};

const input: Trial = async (vm, random) => {
  const bytes = randomBytes(random, random(20) === 0 ? 100_000 : random(2000));
  const sources = [
    bytes,
    Readable.from([bytes]),
    (async function* () {
      yield bytes;
    })(),
  ];
  const result = await vm.run("cat", { ...shellOf(random), stdin: sources[random(3)] ?? bytes });
  assert.ok(Buffer.compare(result.stdoutBytes, bytes) === 0, `${bytes.length} bytes through cat`);
};

const pipe: Trial = async (vm, random, n) => {
  const run = vm.run("read -r line; echo got $line; cat", { ...shellOf(random), stdin: "pipe" });
  run.stdin?.write(`line ${n}\n`);
  run.stdin?.end("rest");
  assert.equal((await run).stdout, `got line ${n}\nrest`);
};

const unreadInput: Trial = async (vm, random, n) => {
  const result = await vm.run(`echo ${n}`, {
    ...shellOf(random),
    stdin: "quit\nnobody reads this\n".repeat(random(2000)),
  });
  assert.deepEqual([result.stdout, result.stderr], [`${n}\n`, ""]);
};

const surroundings: Trial = async (vm, random) => {
  const value = oddWord(random);
  const cwd = ["/", "/tmp", "/usr/share"][random(3)] ?? "/";
  const { stdout } = await vm.run('printf "%s|%s" "$X" "$PWD"; cd /; X=other', {
    ...shellOf(random),
    env: { X: value },
    cwd,
  });
  assert.equal(stdout, `${value}|${cwd}`);
};

const otherUser: Trial = async (vm, random) => {
  assert.equal((await vm.run("id -un", { ...shellOf(random), user: "daemon" })).output, "daemon");
};

const failure: Trial = async (vm, random) => {
  const options = shellOf(random);
  if (random(2)) assert.equal((await vm.run("no-such-command", options)).exitCode, 127);
  else
    await assert.rejects(Promise.resolve(vm.run("exit 3", { ...options, check: true })), CommandFailedError);
};

const noFolder: Trial = async (vm, random) => {
  const run = vm.run("echo ran", { ...shellOf(random), cwd: "/no/such" });
  await assert.rejects(Promise.resolve(run), CommandExecutionUnavailableError);
};

const signal: Trial = async (vm, random) => {
  const [number, name] = (
    [
      [9, "SIGKILL"],
      [15, "SIGTERM"],
      [1, "SIGHUP"],
      [11, "SIGSEGV"],
    ] as const
  )[random(4)] ?? [9, "SIGKILL"];
  const result = await vm.run(`echo before; kill -${number} $$; sleep 100`, shellOf(random));
  assert.deepEqual([result.stdout, result.exitCode, result.signal], ["before\n", 128 + number, name]);
};

const TREES = [
  "exec sleep 86461",
  "sleep 86461 & sleep 86461",
  "(setsid sleep 86461 &); trap '' TERM; sleep 86461; sleep 86461",
];
const tree = (random: Random) => TREES[random(TREES.length)] ?? "sleep 86461";

const timeout: Trial = async (vm, random) => {
  const run = vm.run(tree(random), { ...shellOf(random), timeout: `${1 + random(500)}ms` });
  await assert.rejects(Promise.resolve(run), OperationTimeoutError);
};

const abort: Trial = async (vm, random) => {
  const controller = new AbortController();
  const run = vm.run(tree(random), {
    ...shellOf(random),
    signal: controller.signal,
    ...(random(8) === 0 && { pty: true }),
  });
  setTimeout(() => controller.abort(), random(150));
  await assert.rejects(Promise.resolve(run), OperationAbortedError);
};

/** Before it began it is an abort; then it is a signal. */
const kill: Trial = async (vm, random) => {
  const name = random(2) ? "SIGKILL" : "SIGTERM";
  const run = vm.run(TREES[random(2)] ?? "", shellOf(random));
  void sleep(random(150)).then(() => run.kill(name));
  const end = await run.then(
    ({ signal }) => signal,
    (error) => error,
  );
  assert.ok(end instanceof OperationAbortedError || end === name, `ended by ${end}`);
};

const iteration: Trial = async (vm, random) => {
  const last = random(3000) + 1;
  let text = "";
  for await (const chunk of vm.run(`seq 1 ${last}`, shellOf(random))) text += chunk.text;
  assert.ok(text === sequence(last), `seq ${last}, iterated`);
};

const earlyLeaver: Trial = async (vm, random) => {
  const options: RunOptions = { ...shellOf(random), ...(random(8) === 0 && { pty: true }) };
  for await (const { text } of vm.run("yes; sleep 86461", options)) {
    assert.match(text, /^y/);
    break;
  }
};

const terminal: Trial = async (vm, random, n) => {
  const { stdout } = await vm.run(`tty; echo ${n}`, { ...shellOf(random), pty: true });
  assert.match(stdout, new RegExp(`^/dev/pts/\\d+\\r\\n${n}\\r\\n$`));
};

const background: Trial = async (vm, random, n) => {
  const daemon = random(2) ? "sleep 0.3" : "setsid sleep 0.2";
  const quiet = random(2) ? " >/dev/null 2>&1" : "";
  const stdin = random(3) === 0 ? "x" : "";
  const { stdout } = await vm.run(`(${daemon}${quiet} &) ; echo ${n}`, { ...shellOf(random), stdin });
  assert.equal(stdout, `${n}\n`);
};

/** How many of a hundred, roughly, are of each kind. */
const MIX: readonly (readonly [Trial, number])[] = [
  [script, 22],
  [argv, 14],
  [output, 9],
  [truncation, 2],
  [input, 6],
  [pipe, 3],
  [unreadInput, 2],
  [surroundings, 8],
  [otherUser, 1],
  [failure, 3],
  [noFolder, 2],
  [signal, 4],
  [timeout, 4],
  [abort, 5],
  [kill, 4],
  [iteration, 3],
  [earlyLeaver, 3],
  [terminal, 2],
  [background, 3],
];

export function chooseTrial(random: Random): Trial {
  let at = random(MIX.reduce((sum, [, weight]) => sum + weight, 0));
  for (const [trial, weight] of MIX) {
    if (at < weight) return trial;
    at -= weight;
  }
  return script;
}
