import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { dirname, isAbsolute, resolve } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { HostError, OperationTimeoutError, ValidationError } from "../errors.ts";
import { type Bounds, bounded } from "../util/bounded.ts";
import { lineSplitter } from "../util/line-splitter.ts";
import { neededVariables } from "./environment.ts";
import { type ExitInfo, exitInfo, exitInfoFromShell } from "./exit-info.ts";
import { markOf } from "./owned-processes.ts";
import { requirePackageFile } from "./package-file.ts";
import { discardedName } from "./whole-folder.ts";

export interface GuardOptions {
  /** An absolute folder that is removed where this process dies before the command has ended. */
  readonly ephemeralFolder: string | null;
  /** How many sockets the command gets, as its fds 3, 4, 6, 7, 8, 9 in that order. Default 0. */
  readonly channels?: number;
  /** Open files of this process, which the command gets too, behind the sockets in the same order. */
  readonly files?: readonly number[];
  /** A folder to which the command belongs: it is named in its environment, by which `findOwned` finds it. */
  readonly owner?: string | null;
  /** The command's whole environment; default: only what a program needs to find its files. */
  readonly env?: NodeJS.ProcessEnv;
  /** How long the guardian may take until it guards: 30 s by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A command that does not outlive this process, however this process ends. */
export interface GuardedProcess {
  /** The command's own process id, not the guardian's. */
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** This side of the command's sockets. They end at once when the command does. */
  readonly channels: readonly Socket[];
  /** Settles when the command is gone and collected; never rejects. Does not keep the event loop alive. */
  readonly exited: Promise<ExitInfo>;
  /** Nothing happens where the command is gone. */
  sendSignal(signal: NodeJS.Signals): void;
  /** Sends SIGKILL and waits until the command is gone. Twice is fine. */
  end(): Promise<ExitInfo>;
}

const GUARDIAN = new URL("./guardian.sh", import.meta.url);
/** What a guarded command can be handed down; 5 is the guardian's own. */
const COMMAND_FDS = [3, 4, 6, 7, 8, 9];
const LIFETIME_FD = 5;
/** The command begins when it is told to here. */
const GATE_FD = 0;
const START_MS = 30_000;
const END_MS = 30_000;

/**
 * Starts `argv` under the guardian (guardian.sh), in a session of its own: no terminal's Ctrl-C reaches it.
 * Neither it nor its sockets keep this process's event loop alive.
 * A program that can't be executed is seen as its end with exit code 126 or 127.
 */
export async function spawnGuarded(argv: readonly string[], options: GuardOptions): Promise<GuardedProcess> {
  const folder = checkFolder(options.ephemeralFolder);
  const fds = COMMAND_FDS.slice(0, options.channels ?? 0);
  const files = new Map((options.files ?? []).map((file, index) => [inheritedFd(fds.length + index), file]));
  const guardian = spawn(
    "/bin/sh",
    [fileURLToPath(GUARDIAN), folder, folder && discardedName(folder), ...argv],
    {
      cwd: "/", // so that no folder is kept busy
      detached: true,
      env: { ...(options.env ?? neededVariables(process.env)), ...markOf(options.owner) },
      stdio: stdioFor(fds, files),
    },
  );
  const sockets = (fd: number) => socketOf(guardian, fd);
  await once(guardian, "spawn").catch((error: Error) => {
    throw new HostError(`/bin/sh can't be started on this host: ${error.message}.`, { cause: error });
  });
  const { timeoutMs = START_MS, signal } = options;
  const bounds = { operation: "Starting the guardian", timeoutMs, signal };
  return watch(guardian, fds.map(sockets), sockets(LIFETIME_FD), bounds);
}

/** The number under which the command finds what is handed down at that place, sockets first. */
export function inheritedFd(place: number): number {
  const fd = COMMAND_FDS[place];
  if (fd === undefined) throw new RangeError(`A guarded command can't be handed down ${place + 1} things.`);
  return fd;
}

function checkFolder(folder: string | null): string {
  if (folder === null) return "";
  if (isAbsolute(folder) && resolve(folder) === folder && dirname(folder) !== "/") return folder;
  throw new ValidationError(
    `An ephemeral folder must be an absolute path at least two levels deep; given ${JSON.stringify(folder)}.`,
  );
}

function stdioFor(
  fds: readonly number[],
  files: ReadonlyMap<number, number>,
): ("ignore" | "pipe" | number)[] {
  const highest = Math.max(LIFETIME_FD, ...fds, ...files.keys());
  return Array.from({ length: highest + 1 }, (_, fd) => {
    if (fd <= 2 || fd === LIFETIME_FD || fds.includes(fd)) return "pipe";
    return files.get(fd) ?? "ignore";
  });
}

function socketOf(child: ChildProcess, fd: number): Socket {
  const stream: unknown = child.stdio[fd];
  if (!(stream instanceof Socket)) throw new HostError(`fd ${fd} of the guardian is no socket.`);
  stream.on("error", () => {}); // the other end may die at any moment; that is told by `exited`
  stream.unref();
  return stream;
}

async function watch(
  guardian: ChildProcess,
  channels: Socket[],
  lifetime: Socket,
  bounds: Bounds,
): Promise<GuardedProcess> {
  guardian.unref();
  const gate = socketOf(guardian, GATE_FD);
  const stdout = socketOf(guardian, 1);
  const stderr = socketOf(guardian, 2);
  const exited = waitForEnd(guardian, channels, stderr, lifetime);
  try {
    const pid = await bounded(firstLine(lifetime, exited, stderr), bounds);
    gate.end("go\n");
    const sendSignal = (signal: NodeJS.Signals) => {
      if (lifetime.writable) lifetime.write(`${signal.replace(/^SIG/, "")}\n`);
    };
    const end = () => {
      sendSignal("SIGKILL");
      wake(guardian);
      return endOf(exited, pid);
    };
    void allClosed(channels).then(() => wake(guardian)); // the command is gone, which is to be told
    return { pid: Number(pid), stdout, stderr, channels, exited, sendSignal, end };
  } catch (error) {
    gate.destroy(); // what was to begin does not
    lifetime.destroy(); // the guardian takes that for our death
    wake(guardian);
    throw error;
  }
}

async function firstLine(lifetime: Socket, exited: Promise<ExitInfo>, stderr: Socket): Promise<string> {
  const line = new Promise<string>((resolve) => {
    const hear = (text: string) => {
      if (text.startsWith("ended "))
        lifetime.end("KEEP\n"); // and no signals any more
      else resolve(text);
    };
    lifetime.on(
      "data",
      lineSplitter(256, (text) => hear(text.toString())),
    );
  });
  const ended = exited.then(async ({ exitCode }) => {
    await requirePackageFile(GUARDIAN);
    const words = String(stderr.read() ?? "").trim();
    throw new HostError(
      `The guardian of a process ended with ${exitCode} before it had started anything: ${words || "it said nothing"}.`,
      {
        remediation:
          "Look whether this user may have more processes, and the host more memory: ulimit -u; free -m",
      },
    );
  });
  return Promise.race([line, ended]);
}

/** What SIGKILL does not end waits for the host, mostly for its disk. */
async function endOf(exited: Promise<ExitInfo>, pid: string): Promise<ExitInfo> {
  const operation = `Ending process ${pid}`;
  return bounded(exited, { operation, timeoutMs: END_MS }).catch((cause) => {
    const remediation = `Look what it waits for, and try again: ps -o pid,stat,wchan:30,args -p ${pid}`;
    throw new OperationTimeoutError(operation, END_MS / 1000, undefined, { cause, remediation });
  });
}

async function waitForEnd(
  guardian: ChildProcess,
  channels: readonly Socket[],
  stderr: Socket,
  lifetime: Socket,
): Promise<ExitInfo> {
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    guardian.once("exit", (...how) => resolve(how));
  });
  if (code !== null) {
    lifetime.destroy();
    await closed([stderr], 250); // its last words may still be under way
    return exitInfoFromShell(code);
  }
  // Somebody killed the guardian. Its reader, which is left, has killed the command when the sockets end.
  if (lifetime.writable) lifetime.end("KILL\nKEEP\n");
  wakeGroup(guardian);
  await closed(channels, 2_000);
  return exitInfo(null, signal);
}

/** A guardian, or a reader of it, that a signal has stopped would neither end the command nor tell of its end. */
function wake(guardian: ChildProcess): void {
  if (guardian.exitCode === null && guardian.signalCode === null) wakeGroup(guardian);
}

/**
 * Also the command: the guardian leads the process group of them all. Its number is taken as long as one of them is left; SIGCONT does
 * nothing to others that may have it later, unless a signal has stopped them.
 */
function wakeGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGCONT");
  } catch {
    // all of it is gone
  }
}

async function closed(streams: readonly Socket[], atMostMs: number): Promise<void> {
  await bounded(allClosed(streams), { operation: "Closing sockets", timeoutMs: atMostMs }).catch(() => {});
}

async function allClosed(streams: readonly Socket[]): Promise<void> {
  await Promise.all(
    streams.map((stream) => stream.closed || new Promise((resolve) => stream.once("close", resolve))),
  );
}
