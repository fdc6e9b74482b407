import { setTimeout as sleep } from "node:timers/promises";
import { NEVER_RAN, type NeverRan, parsePid, parseStatus } from "../protocol/guest-words.ts";
import { MarkerSplitter } from "../protocol/markers.ts";
import { exitCodeOfSignal } from "../spec/signals.ts";
import { endOfTerminalInput } from "../spec/terminal.ts";
import type { ExitStatus, OutputSink, SshChannel } from "../transport/channel.ts";
import type { GuestProcess, ProcessEnd } from "./guest-process.ts";

/** How long the last output may take after the process has ended while somebody else holds its terminal. */
const DRAIN_MS = 300;

export interface TerminalRun {
  readonly channel: SshChannel;
  readonly token: string;
  readonly slot: number;
  /** A shell that reads what is typed, which ends as its last command did. */
  readonly isInteractive: boolean;
  readonly onOver: (isKnown: boolean) => void;
}

/** A command in a terminal has a channel of its own. It ends as src/guest/exec-terminal.sh says, or else the server. */
export function terminalProcess({ channel, token, slot, isInteractive, onOver }: TerminalRun): GuestProcess {
  let pid = 0;
  let lastByte: number | undefined;
  let neverRan: NeverRan | null = null;
  let begun = true;
  let isOver = false;
  let sink: OutputSink = () => true;
  let onReady: (ready: true | null) => void = () => {};
  const ready = new Promise<true | null>((resolve) => {
    onReady = resolve;
  });
  let onEnd: (status: ExitStatus) => void = () => {};
  const said = new Promise<ExitStatus>((resolve) => {
    onEnd = resolve;
  });
  const splitter = new MarkerSplitter(
    token,
    (bytes) => (pid === 0 ? true : sink("stdout", bytes)),
    ([what, ...rest]) => {
      if (what === "ready") {
        pid = parsePid(rest[0]) ?? 0;
        if (pid > 0) onReady(true);
        else channel.close();
      } else if (what === "end") {
        begun = rest[2] === "1";
        const status = parseEnd(rest, isInteractive);
        if (status === null) channel.close();
        else onEnd(status);
      } else neverRan = NEVER_RAN.find((known) => known === [what, ...rest].join(" ")) ?? neverRan;
    },
  );
  const ended = Promise.race([said.then(exited), endOf(channel)]).then((end): ProcessEnd => {
    isOver = true;
    channel.close();
    onReady(null);
    onOver(end.kind === "exited");
    if (neverRan !== null) return { kind: "never ran", why: neverRan };
    if (pid === 0 && end.kind === "exited") return { kind: "not started" };
    if (begun || end.kind !== "exited" || wasTyped(end.status)) return end;
    return { kind: "never ran", why: "unbegun", status: end.status };
  });
  return {
    get ward() {
      return { slot, pid, worker: 0 };
    },
    ready,
    takesInput: ready,
    ended,
    get isOver() {
      return isOver;
    },
    isAlone: true,
    begin(newSink) {
      sink = newSink;
      channel.setSink((_stream, bytes) => splitter.take(bytes));
    },
    resume: () => channel.resume(),
    writeStdin(bytes) {
      lastByte = bytes.at(-1) ?? lastByte;
      return channel.write(bytes);
    },
    endStdin: () => void channel.write(endOfTerminalInput(lastByte)).catch(() => {}),
    resize: (size) => channel.resize(size),
    // It runs already, for its code came with the request.
    discard: () => channel.setSink((_stream, bytes) => splitter.take(bytes)),
    noteDeadline: () => {},
    taint: () => {},
  };
}

/** OpenSSH's server says that a process has ended before the last of its output is sent. */
async function endOf(channel: SshChannel): Promise<ProcessEnd> {
  const status = await channel.exited;
  if (status === null) return { kind: "lost", why: "its channel closed without an exit status" };
  await Promise.race([channel.closed, sleep(DRAIN_MS)]);
  return exited(status);
}

function exited(status: ExitStatus): ProcessEnd {
  return { kind: "exited", status };
}

/** Shells make no remark on a child that SIGINT killed: the person who typed Control-C has seen it. */
function parseEnd([word, killed]: readonly string[], isInteractive: boolean): ExitStatus | null {
  const status = parseStatus(word, killed === "1");
  const wasInterrupted = status !== null && "code" in status && status.code === exitCodeOfSignal("SIGINT");
  return wasInterrupted && !isInteractive ? { signal: "SIGINT" } : status;
}

/** A key may end a command before it begins. */
function wasTyped(status: ExitStatus): boolean {
  return "signal" in status && (status.signal === "SIGINT" || status.signal === "SIGQUIT");
}
