import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLI, requireBuilt } from "../setup/cli-process.ts";
import { eventually } from "./eventually.ts";

/** The built `smolvm` in a terminal of this host, with somebody at its keyboard. */
export interface HostTerminal {
  /** `script`, which holds the terminal. */
  readonly script: ChildProcess;
  /** The process of smolvm. */
  pid(): number;
  /** All that was shown so far. */
  shown(): string;
  type(keys: string | Uint8Array): void;
  /** Resolves when `text` is shown behind all that was waited for before. */
  until(text: string): Promise<void>;
  /** What a window system does when the window gets another size. */
  resize(rows: number, columns: number): void;
  /** Resolves when all is over and the terminal was looked at. */
  ended(): Promise<{ readonly status: number; readonly before: string; readonly after: string }>;
  close(): void;
}

const PATIENCE_MS = 60_000;

/** `script` (util-linux, in every Debian) makes a terminal; its keyboard is a pipe. */
export function openHostTerminal(args: readonly string[]): HostTerminal {
  requireBuilt();
  const folder = mkdtempSync(join(tmpdir(), "smolvm-terminal-"));
  const file = (name: string) => join(folder, name);
  const noted = (name: string) => readFileSync(file(name), "utf8").trim();
  const words = [process.execPath, CLI, ...args]
    .map((word) => `'${word.replaceAll("'", `'\\''`)}'`)
    .join(" ");
  const steps = [
    "trap : INT", // Control-C is for smolvm
    `stty rows 30 cols 100; tty >tty; stty -a >before`,
    `sh -c 'echo $$ >pid; exec "$@"' sh ${words}`,
    `echo $? >status; stty -a >after; mv after after.whole`,
  ];
  const script = spawn("script", ["-qefc", `cd ${folder}\n${steps.join("\n")}`, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, SHELL: "/bin/sh", TERM: "xterm" },
  });
  let shown = "";
  let at = 0;
  script.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  script.stdin.on("error", () => {});
  return {
    script,
    pid: () => Number(noted("pid")),
    shown: () => shown,
    type: (keys) => void script.stdin.write(keys),
    async until(text) {
      const isThere = () => shown.indexOf(text, at) >= 0;
      const describe = () => `${JSON.stringify(text)} is shown behind ${JSON.stringify(shown.slice(0, at))}`;
      await eventually(isThere, describe(), PATIENCE_MS).catch((error) => {
        throw new Error(`${error.message}, but ${JSON.stringify(shown.slice(at))}`);
      });
      at = shown.indexOf(text, at) + text.length;
    },
    resize: (rows, columns) =>
      void execFileSync("stty", ["-F", noted("tty"), "rows", `${rows}`, "cols", `${columns}`]),
    async ended() {
      if (script.exitCode === null) {
        const late = setTimeout(() => script.kill("SIGKILL"), PATIENCE_MS);
        await once(script, "close");
        clearTimeout(late);
      }
      return { status: Number(noted("status")), before: noted("before"), after: noted("after.whole") };
    },
    close() {
      script.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
