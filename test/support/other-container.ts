import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Another PID namespace with its own /proc on the same files, as a container has that shares a folder. */
const UNSHARE = [
  ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
  ...["--pid", "--fork", "--mount-proc", "--kill-child"],
];

/** A Node program in another container. `dist(path)` in its code is the address of a built file. */
export interface Contained extends AsyncDisposable {
  readonly child: ChildProcess;
  /** What it says next. */
  line(): Promise<string>;
  /** All of its processes at once, with SIGKILL. */
  kill(): Promise<void>;
}

export function runContained(code: string, env: NodeJS.ProcessEnv = {}): Contained {
  const root = new URL("../../dist/", import.meta.url).href;
  const program = `const dist = (path) => new URL(path, ${JSON.stringify(root)}).href;\n${code}`;
  const argv = [...UNSHARE, process.execPath, "--input-type=module", "-e", program];
  const child = spawn("unshare", argv, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const kill = async () => {
    if (child.stdout?.closed) return;
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed; // what was in it had the other end of the pipe
  };
  return {
    child,
    line: async () => String((await lines.next()).value),
    kill,
    [Symbol.asyncDispose]: kill,
  };
}
