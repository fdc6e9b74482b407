import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";

/** Children with a process group of their own; none outlives the bench, whichever way it ends short of SIGKILL. */
const groups = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of groups) killNow(child);
});
for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => process.exit(status));
}

/** Starts a child that can be ended together with all it starts. */
export function startGroup(argv: readonly string[], options: SpawnOptions): ChildProcess {
  const [program = "", ...rest] = argv;
  const child = spawn(program, rest, { ...options, detached: true });
  groups.add(child);
  child.once("error", () => groups.delete(child));
  return child;
}

/** Kills the child's process group and waits until the child is gone. */
export async function endGroup(child: ChildProcess): Promise<void> {
  const isOver = child.exitCode !== null || child.signalCode !== null;
  const over = isOver || child.pid === undefined ? Promise.resolve() : once(child, "exit");
  killNow(child);
  await over;
  groups.delete(child);
}

/** Runs a program to its end. Rejects unless it exits with 0; `stdin` is closed. */
export async function captureOutput(
  argv: readonly string[],
  options: SpawnOptions & { readonly timeoutMs?: number } = {},
): Promise<{ stdout: string; stderr: string }> {
  const { timeoutMs = 60_000, ...rest } = options;
  const child = startGroup(argv, { ...rest, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const deadline = setTimeout(() => killNow(child), timeoutMs);
  try {
    const [status, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    if (status === 0) return output;
    const last = output.stderr.trim().split("\n").slice(-3).join(" / ");
    throw new Error(`${argv[0]} ended with ${signal ?? `status ${status}`}: ${last || "it said nothing"}`);
  } finally {
    clearTimeout(deadline);
    groups.delete(child);
  }
}

/** How long a program takes from its start to its end, in milliseconds. Rejects unless it exits with 0. */
export async function timeProgram(
  argv: readonly string[],
  stdout: number | "ignore" = "ignore",
): Promise<number> {
  const [program = "", ...rest] = argv;
  const startMs = performance.now();
  const child = spawn(program, rest, { stdio: ["ignore", stdout, "inherit"] });
  const [status, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  const tookMs = performance.now() - startMs;
  if (status !== 0) throw new Error(`${program} ended with ${signal ?? `status ${status}`}.`);
  return tookMs;
}

function killNow({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group is gone already.
  }
}
