import type { OutputSink } from "./channel.ts";
import type { GuestProcess, ProcessEnd } from "./process.ts";
import { encodeCommand, formatStart, needsShell, type Reader } from "./shell-code.ts";
import type { CommandSpec } from "./spec.ts";
import type { ChildEnd, Worker } from "./worker.ts";

export interface WorkerRun {
  /** Whether the shell that was started ahead of time, if any, is as good as a new one. */
  readonly standbyIsFresh: boolean;
  /** The worker is to end after this command. */
  readonly isLast: boolean;
  /** Called once, also where the command was never begun: then with null. */
  readonly onOver: (
    end: ChildEnd | null,
    use: { readonly isTainted: boolean; readonly hasDeadline: boolean },
  ) => void;
}

/** Gives a worker this command. Nothing of it is sent before `begin`. */
export function runOnWorker(worker: Worker, spec: CommandSpec, run: WorkerRun): GuestProcess {
  const use = { isTainted: false, hasDeadline: false };
  let bytesReceived = 0;
  let isOver = false;
  let settle: (end: ProcessEnd) => void = () => {};
  const ended = new Promise<ProcessEnd>((resolve) => {
    settle = resolve;
  });
  const over = (end: ChildEnd) => {
    isOver = true;
    settle(meaningOf(end, worker));
    run.onOver(end, use);
  };

  const begin = (sink: OutputSink) => {
    const counted: OutputSink = (stream, bytes) => {
      bytesReceived += bytes.length;
      return sink(stream, bytes);
    };
    const onEnd = (end: ChildEnd) => {
      if (run.isLast || use.isTainted || bytesReceived > 0 || !mayHaveEndedUnread(end)) return over(end);
      void worker
        .wereLinesRead()
        .then((wereRead) => over(wereRead ? end : { kind: "never ran", why: "gone" }));
    };
    worker.give(formatLines(worker, spec, run), { sink: counted, onEnd });
  };

  return {
    get ward() {
      return { slot: worker.slot, pid: worker.childPid, worker: worker.pid };
    },
    ready: worker.ready,
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

/** All that it takes to have the right shell read the command: one write, whatever it is. */
function formatLines(worker: Worker, spec: CommandSpec, run: WorkerRun): Buffer {
  const { standby, token } = worker;
  const kind = spec.shell === "login" ? "login" : "raw";
  if (standby !== null && run.standbyIsFresh && standby.kind === kind && spec.user === null) {
    const { guard, renewal } = standby;
    return encodeCommand(spec, { kind, guard, token, isLast: run.isLast }, renewal);
  }
  worker.dismissStandby();
  const reader: Reader = {
    kind: needsShell(spec) ? kind : "child",
    guard: worker.nextGuard(),
    token,
    isLast: run.isLast,
  };
  return Buffer.concat([Buffer.from(formatStart(spec, reader)), encodeCommand(spec, reader, null)]);
}

/** How a waiting shell ends whose profile set $TMOUT. */
const UNREAD_CODE = 97;

/** It ended without a word, in one of the ways in which a shell ends that has not read its line. */
function mayHaveEndedUnread(end: ChildEnd): boolean {
  if (end.kind !== "exited") return false;
  return "signal" in end.status || end.status.code === UNREAD_CODE;
}

function meaningOf(end: ChildEnd, worker: Worker): ProcessEnd {
  if (end.kind === "exited") return { kind: "exited", status: end.status };
  if (end.kind === "never ran") return end;
  if (worker.pid === 0 && end.status !== null) return { kind: "not started" };
  // A signal that the command sent to its whole process group ended the worker too. SIGKILL is more likely the kernel's,
  // out of memory, and meant for the worker alone.
  const isOfCommand = end.status !== null && "signal" in end.status && end.status.signal !== "SIGKILL";
  if (isOfCommand) return { kind: "exited", status: end.status };
  return { kind: "lost", why: "its channel closed without an exit status" };
}
