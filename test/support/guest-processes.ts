import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerChannel } from "ssh2";
import { readGuestScript } from "../../src/ssh/protocol/guest-scripts.ts";
import { MARK } from "../setup/marked-processes.ts";

const HELD_MS = 300;
const GRACE_MS = 3000;

/** Stands in for src/guest/account.sh: the account is who runs the test, in a home of its own. */
const ACCOUNT = `find_account() { account_id=0; }
go_home() { cd 2>/dev/null || cd /; unset OLDPWD; }
as_account() { exec $session "$@"; }
`;

/** The processes that a server starts for its clients, as dropbear does it. One folder of the home stands for the guest's own root. */
export class GuestProcesses {
  readonly #home: string;
  readonly #shell: string;
  readonly #ownRoot: string;
  readonly #children = new Set<ChildProcess>();
  /** How much they have written to their stdout. */
  bytesWritten = 0;

  /** `shell` is what the server has run requests. */
  constructor(home: string, shell: string) {
    this.#home = home;
    this.#shell = shell;
    this.#ownRoot = join(home, ".own");
    for (const folder of ["smolvm", "run"]) mkdirSync(join(this.#ownRoot, folder), { recursive: true });
    for (const folder of ["dev", "proc"]) symlinkSync(`/${folder}`, join(this.#ownRoot, folder));
    writeFileSync(join(this.#ownRoot, "smolvm/account.sh"), ACCOUNT);
    writeFileSync(join(this.#ownRoot, "smolvm/start.sh"), readGuestScript("start"));
  }

  run(command: string, channel: ServerChannel, forgetsExitStatus: () => boolean): void {
    const child = spawn(this.#shell, ["-c", this.#tamed(command)], { cwd: this.#ownRoot, env: this.#env });
    this.#children.add(child);
    child.stdout.on("data", (bytes: Buffer) => {
      this.bytesWritten += bytes.length;
    });
    forward(child.stdout, channel);
    forward(child.stderr, channel.stderr);
    channel.on("data", (bytes: Buffer) => child.stdin.write(bytes));
    channel.on("end", () => child.stdin.end());
    channel.on("close", () => child.stdin.end());
    for (const stream of [child.stdin, channel]) stream.on("error", () => {});
    child.on("exit", async (exitCode, signal) => {
      this.#children.delete(child);
      // What was left running may hold the pipes for ever.
      await Promise.race([once(child, "close"), sleep(HELD_MS)]);
      child.stdout.destroy();
      child.stderr.destroy();
      if (!forgetsExitStatus()) {
        if (signal) channel.exit(signal.slice(3), false, "");
        else channel.exit(exitCode ?? 0);
      }
      channel.end();
      channel.close();
    });
  }

  /** All are told by the end of their stdin; the keeper may need a moment to end the others. */
  async end(): Promise<void> {
    const all = [...this.#children].map((child) => once(child, "exit"));
    await Promise.race([Promise.all(all), sleep(GRACE_MS)]);
    for (const child of this.#children) child.kill("SIGKILL");
  }

  /** The lot, those included that left their parents: known by their home. */
  killAll(): void {
    for (const pid of this.#all()) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {} // it has ended by itself meanwhile
    }
  }

  /** How many live that were started as exactly this. */
  count(commandLine: string): number {
    return this.#all().filter((pid) => readProc(pid, "cmdline").join(" ").trim() === commandLine).length;
  }

  #all(): string[] {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return pids.filter((pid) => readProc(pid, "environ").includes(`HOME=${this.#home}`));
  }

  /** What a guest has, and what of this host should not be touched. */
  #tamed(command: string): string {
    return command
      .replaceAll("nsenter -r/image smolvm/busybox sh", "bash")
      .replaceAll("exec sh ", "exec bash ")
      .replaceAll("/sys/fs/cgroup", `${this.#home}/none`)
      .replaceAll("/run/$", `${this.#ownRoot}/run/$`);
  }

  get #env(): NodeJS.ProcessEnv {
    const { PATH, [MARK]: mark } = process.env;
    return { HOME: this.#home, SHELL: "/bin/bash", USER: "root", LOGNAME: "root", PATH, [MARK]: mark };
  }
}

function readProc(pid: string, file: "environ" | "cmdline"): string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8").split("\0");
  } catch {
    return []; // it has ended meanwhile
  }
}

function forward(from: Readable, to: Writable): void {
  from.on("data", (bytes: Buffer) => {
    if (to.write(bytes)) return;
    from.pause();
    to.once("drain", () => from.resume());
  });
}
