import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY, readSources } from "./sources.ts";

export const CLI = join(REPOSITORY, "dist", "cli", "main.js");

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliProcess {
  readonly child: ChildProcess;
  /** Resolves when stdout has come to hold `text`; rejects when the process ends without. */
  untilPrinted(text: string): Promise<void>;
  readonly ended: Promise<Ended>;
}

/** Runs the built `smolvm` as a process of its own. */
export function startCli(args: readonly string[], input: string | Uint8Array = ""): CliProcess {
  requireBuilt();
  const child = spawn(process.execPath, [CLI, ...args], { stdio: "pipe" });
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      printed[name] += text;
    });
  }
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const ended = once(child, "close").then(([status, signal]) => ({ status, signal, ...printed }));
  const untilPrinted = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (printed.stdout.includes(text)) resolve();
      };
      child.stdout.on("data", look);
      look();
      void ended.then(() =>
        reject(new Error(`It ended without printing ${text}: ${JSON.stringify(printed)}`)),
      );
    });
  return { child, untilPrinted, ended };
}

export function runCli(args: readonly string[], input?: string | Uint8Array): Promise<Ended> {
  return startCli(args, input).ended;
}

/** A test of an old build would prove nothing. */
export function requireBuilt(): void {
  const builtMs = statSync(CLI, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const newer = readSources("src").find(({ path }) => statSync(join(REPOSITORY, path)).mtimeMs > builtMs);
  if (newer) throw new Error(`dist/ is older than ${newer.path}: run \`npm run build\` first.`);
}
