import { encodeCommand, suitsWaiting } from "../protocol/shell-code.ts";
import type { CommandSpec } from "../spec/command-spec.ts";
import type { OutputSink } from "../transport/channel.ts";
import type { GuestProcess, ProcessEnd } from "./guest-process.ts";
import type { ChildEnd, Standby, Worker } from "./worker.ts";
import type { Use } from "./worker-pool.ts";

export interface WorkerRun {
  /** Whether the shell that was started ahead of time, if any, is as good as a new one. */
  readonly standbyIsFresh: boolean;
  /** The worker is to end after this command. */
  readonly isLast: boolean;
  /** Called once, also where the command was never begun: then with null. */
  readonly onOver: (end: ChildEnd | null, use: Omit<Use, "isLast">) => void;
}

/** The worker's own shell, where none that was started ahead of time takes the command. */
const CHILD = { language: "child", guard: "", renewal: "" } as const;

/** Gives a worker this command. Nothing of it is sent before `begin`. */
export function runOnWorker(worker: Worker, spec: CommandSpec, run: WorkerRun): GuestProcess {
  let isOver = false;
  let settle: (end: ProcessEnd) => void = () => {};
  const ended = new Promise<ProcessEnd>((resolve) => {
    settle = resolve;
  });
  const standby = standbyFor(worker, spec, run);
  const use = { isTainted: false, hasDeadline: false, standby };
  let onBegun = () => {};
  const begun = new Promise<true | null>((resolve) => {
    onBegun = () => resolve(true);
    void ended.then(() => resolve(null));
  });
  const over = (end: ChildEnd) => {
    isOver = true;
    settle(meaningOf(end, worker));
    run.onOver(end, use);
  };

  const begin = (sink: OutputSink) => {
    const { language: kind, guard, renewal } = standby ?? CHILD;
    const isForStandby = standby !== null;
    const saysBegun = isForStandby && mustSayBegun(worker, standby, spec);
    const lines = encodeCommand(spec, { kind, guard, renewal, saysBegun, isLast: run.isLast });
    worker.give(lines, { sink, onBegun, onEnd: over, isForStandby, saysBegun });
  };

  return {
    get ward() {
      return { slot: worker.slot, pid: worker.childPid, worker: worker.pid };
    },
    ready: worker.ready,
    takesInput: standby === null ? worker.ready : begun,
    ended,
    get isOver() {
      return isOver;
    },
    get isAlone() {
      return worker.isAtWatched;
    },
    begin,
    discard() {
      isOver = true;
      run.onOver(null, use);
    },
    resume: () => worker.channel.resume(),
    writeStdin: (bytes) => worker.channel.write(bytes),
    endStdin: () => worker.channel.end(),
    resize: () => {},
    noteDeadline() {
      use.hasDeadline = true;
    },
    taint() {
      use.isTainted = true;
    },
  };
}

/** The shell that was started ahead of time, where it is the right one. One that has not said that it waits may end without a word: what can be given only once is not for it. */
function standbyFor({ standby }: Worker, spec: CommandSpec, run: WorkerRun): Standby | null {
  const kind = spec.shell === "login" ? "login" : "raw";
  if (standby === null || !run.standbyIsFresh || standby.kind !== kind || !suitsWaiting(spec)) return null;
  return standby.isReady || spec.stdin.kind === "bytes" ? standby : null;
}

/** A word of its own costs about a tenth of a small command: it is asked for only where something is held back until then. */
function mustSayBegun(worker: Worker, standby: Standby, { stdin }: CommandSpec): boolean {
  return stdin.kind !== "bytes" || !standby.isReady || worker.hasEarlyOutput;
}

function meaningOf(end: ChildEnd, worker: Worker): ProcessEnd {
  if (end.kind === "exited") return { kind: "exited", status: end.status };
  if (end.kind === "never ran") return end;
  if (worker.pid === 0 && end.status !== null) return { kind: "not started" };
  // A signal that the command sent to its whole process group ended the worker too. SIGKILL is more likely the kernel's,
  // out of memory, and meant for the worker alone.
  const isOfCommand = end.status !== null && "signal" in end.status && end.status.signal !== "SIGKILL";
  if (isOfCommand) return { kind: "exited", status: end.status };
  return { kind: "lost", why: end.why ?? "its channel closed without an exit status" };
}
