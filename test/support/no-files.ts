import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { bounded } from "../../src/util/bounded.ts";

/** Far more than any file of ours may have; it takes no room. */
const HUGE_BYTES = 512 * 1024 * 1024;
/** Each of these calls takes some milliseconds; one that hangs takes for ever. */
const PROMPT_MS = 8_000;

const fifos: string[] = [];

/** What may stand in the place of a file, and what is said of it then. */
export const NO_FILES: readonly (readonly [kind: string, put: (path: string) => void, said: RegExp])[] = [
  ["a fifo", putFifo, /is a fifo, and no file/],
  [
    "a link to a device",
    (path) => clear(path, () => symlinkSync("/dev/zero", path)),
    /is a device, and no file/,
  ],
  [
    "a file of 512 MiB",
    (path) => clear(path, () => putHuge(path)),
    /has 536870912 bytes, where \d+ are the most/,
  ],
  ["a folder", (path) => clear(path, () => putFolder(path)), /is a folder, and no file/],
  [
    "a link to itself",
    (path) => clear(path, () => symlinkSync(path, path)),
    /is a link that leads to itself, and no file/,
  ],
];

export function putFifo(path: string): void {
  clear(path, () => execFileSync("mkfifo", [path]));
  fifos.push(path);
}

function putFolder(path: string): void {
  mkdirSync(path);
  writeFileSync(join(path, "within"), "");
}

function putHuge(path: string): void {
  writeFileSync(path, "");
  truncateSync(path, HUGE_BYTES);
}

function clear(path: string, put: () => void): void {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(dirname(path), { recursive: true });
  put();
}

/** What the work gives; where it hangs, an error, and it hangs no more. */
export async function promptly<T>(work: Promise<T>): Promise<T> {
  const isLate = startClock();
  try {
    const given = await bounded(work, { operation: "A call that is to be prompt", timeoutMs: PROMPT_MS });
    if (isLate()) throw new Error("It kept the whole process waiting.");
    return given;
  } finally {
    for (const path of fifos) letGo(path);
  }
}

/** The same for a call that opens a file at once. */
export function promptlyNow<T>(path: string, work: () => T): T {
  using _ = letGoLater(path);
  const isLate = startClock();
  const given = work();
  if (isLate()) throw new Error("It kept the whole process waiting.");
  return given;
}

function startClock(): () => boolean {
  const beganMs = performance.now();
  return () => performance.now() - beganMs > PROMPT_MS;
}

/** For a fifo that is opened at once, which keeps this very process waiting: another one lets go of it. */
export function letGoLater(path: string): Disposable {
  const code =
    "setTimeout(() => require('node:fs').openSync(process.argv[1], 'r+'), Number(process.argv[2]))";
  const rescue = spawn(process.execPath, ["-e", code, path, `${PROMPT_MS + 1_000}`], { stdio: "ignore" });
  return { [Symbol.dispose]: () => void rescue.kill("SIGKILL") };
}

/** What waits at a fifo for its other end has it for a moment. */
function letGo(path: string): void {
  try {
    closeSync(openSync(path, constants.O_RDWR | constants.O_NONBLOCK));
  } catch {
    // It is gone.
  }
}
