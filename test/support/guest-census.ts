import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { SmolVM } from "../../src/index.ts";
import { eventually } from "./eventually.ts";

/** What there is in a guest. What counts it, and what SmolVM keeps there to run commands, is told from the rest. */
export interface Census {
  /** Processes that are neither ours nor the kernel's. */
  readonly strangers: readonly string[];
  readonly zombies: readonly string[];
  /** Sessions of the SSH server: connections. */
  readonly sessions: number;
  /** Channels with a process: the keeper, and the workers. */
  readonly channels: number;
  /** Below /sys/fs/cgroup/smolvm, with a number for each connection's name. */
  readonly cgroups: readonly string[];
  /** Processes that commands left behind. */
  readonly background: number;
  /** In folders that anybody may write to, and the user's home, without the workers' notes. */
  readonly files: readonly string[];
  readonly notes: number;
  readonly availableKib: number;
}

const MARK = "@@census@@";
const SCRIPT = [
  "echo 3 >/proc/sys/vm/drop_caches",
  "ps -eo pid=,ppid=,sid=,stat=,args= -ww",
  "find /sys/fs/cgroup/smolvm -type d",
  "cat /sys/fs/cgroup/smolvm/background/cgroup.procs",
  "find /run /tmp /var/tmp /dev/shm /root -type f -print",
  "grep MemAvailable: /proc/meminfo",
].join(`; echo ${MARK}; `);

async function takeCensus(vm: SmolVM): Promise<Census> {
  const { stdout } = await vm.run(SCRIPT, { shell: "raw", timeout: 60, check: true });
  const [, ps, folders, background, files, memory] = stdout
    .split(`${MARK}\n`)
    .map((part) => part.split("\n").filter((line) => line !== ""));
  const isNote = (path: string) => /^\/run\/smolvm\.[0-9a-f]{8}\.\d+(\.mark)?$/.test(path);
  return {
    ...sortProcesses((ps ?? []).map(parseProcess)),
    cgroups: numberConnections(folders ?? []),
    background: background?.length ?? 0,
    files: (files ?? []).filter((path) => !isNote(path)),
    notes: (files ?? []).filter(isNote).length,
    availableKib: Number(/\d+/.exec(memory?.[0] ?? "")?.[0]),
  };
}

/** The census once nothing is there any more but what is always there. */
export async function takeIdleCensus(vm: SmolVM, timeoutMs = 60_000): Promise<Census> {
  let census = await takeCensus(vm);
  const busy = () =>
    census.strangers.length + census.zombies.length + census.background + Math.max(0, census.channels - 3);
  await eventually(
    async () => {
      if (busy() === 0) return true;
      await sleep(100);
      census = await takeCensus(vm);
      return busy() === 0;
    },
    "the guest is idle",
    timeoutMs,
  ).catch(() => {});
  expect(census).toMatchObject({ strangers: [], zombies: [], background: 0 });
  // The keeper, and a worker for each kind of shell.
  expect(census.channels, JSON.stringify(census)).toBeLessThanOrEqual(3);
  return census;
}

interface GuestProcess {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  readonly state: string;
  readonly args: string;
}

function parseProcess(line: string): GuestProcess {
  const [, pid, parent, session, state = "", args = ""] =
    /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
  return { pid: Number(pid), parent: Number(parent), session: Number(session), state, args };
}

const KERNEL_THREADS = 2;

function sortProcesses(all: readonly GuestProcess[]) {
  const processes = all.filter(({ pid, parent }) => pid !== KERNEL_THREADS && parent !== KERNEL_THREADS);
  const alive = processes.filter(({ state }) => !state.startsWith("Z"));
  const sessions = alive.filter(({ args }) => /^\S*\/dropbear .* -2 /.test(args));
  const sessionPids = sessions.map(({ pid }) => pid);
  const channels = alive.filter(({ parent }) => sessionPids.includes(parent));
  const ours = channels.filter(({ args }) => /^(smolvm\/busybox )?sh -c eval "\$__script"/.test(args));
  const ourPids = ours.map(({ pid }) => pid);
  const waiting = alive.filter(({ parent }) => ourPids.includes(parent));
  const standing = [...sessions, ...ours, ...waiting, ...alive.filter(isOfInit), ...ofCensus(alive)];
  return {
    strangers: alive.filter((one) => !standing.includes(one)).map(({ pid, args }) => `${pid} ${args}`),
    zombies: processes.filter(({ state }) => state.startsWith("Z")).map(({ pid, args }) => `${pid} ${args}`),
    sessions: sessions.length,
    channels: channels.length,
  };
}

/** PID 1 and what it started are in the kernel's session, but for the server; every command is in one of its worker's or its own. */
function isOfInit({ session, parent, args }: GuestProcess): boolean {
  return session === 0 || (parent === 1 && args.startsWith("/usr/sbin/dropbear -s -D /smolvm/ssh "));
}

function ofCensus(processes: readonly GuestProcess[]): GuestProcess[] {
  return processes.filter(({ args }) => args.startsWith("ps -eo pid=,ppid="));
}

function numberConnections(folders: readonly string[]): string[] {
  const names = [...new Set(folders.map((path) => /\/smolvm\/([0-9a-f]{8})/.exec(path)?.[1] ?? ""))].filter(
    (name) => name !== "",
  );
  return folders.map((path) =>
    names.reduce(
      (text, name, index) => text.replace(name, `#${index}`),
      path.slice("/sys/fs/cgroup/smolvm".length),
    ),
  );
}
