import { describe, expect, it } from "vitest";
import type { OutputStream } from "../../../src/ssh/spec/command-spec.ts";
import type { ExitStatus, OutputSink, SshChannel } from "../../../src/ssh/transport/channel.ts";
import { type ChildEnd, Worker } from "../../../src/ssh/worker/worker.ts";

const TOKEN = "smolvm-word";
const KIND = { kind: "login", language: "bash", epoch: 0 } as const;
const NOBODY = { sink: () => true, onBegun: () => {}, onEnd: () => {} };

/** A worker with a shell that is started ahead of time, and what it tells of that one. */
function startWorker() {
  const written: string[] = [];
  let sink: OutputSink = () => true;
  let end: (status: ExitStatus) => void = () => {};
  const exited = new Promise<ExitStatus>((resolve) => {
    end = resolve;
  });
  const channel = {
    setSink: (newSink: OutputSink) => {
      sink = newSink;
    },
    resume: () => {},
    write: async (bytes: Uint8Array) => void written.push(bytes.toString()),
    end: () => {},
    close: () => {},
    exited,
    closed: exited,
  } as unknown as SshChannel;
  const worker = new Worker(channel, TOKEN, 0);
  const print = (text: string, stream: OutputStream) => sink(stream, Buffer.from(text));
  const say = (words: string, stream: OutputStream = "stdout") => print(`\u0001${TOKEN}${words}\n`, stream);
  const told: boolean[] = [];
  say(" ready 5");
  void worker.prepare(KIND, false).then((isReady) => told.push(isReady));
  return {
    worker,
    written,
    print,
    say,
    told,
    endChild(words: string) {
      say(words);
      say("", "stderr");
    },
    async endWorker() {
      end({ code: 0 });
      await worker.gone;
    },
  };
}

describe("of a shell that is started ahead of time a worker tells once", () => {
  it("that it waits, though the worker ends with the command that it was given", async () => {
    const { worker, say, endChild, endWorker, told } = startWorker();
    say(" waits");
    worker.give(Buffer.from("#1 true\n"), { ...NOBODY, isForStandby: true, saysBegun: true });
    endChild(" end 0 0 0 1");
    await endWorker();
    expect(told).toEqual([true]);
  });

  it("that it has ended without a word", async () => {
    const { endChild, endWorker, told } = startWorker();
    endChild(" end 1 0 0 0");
    await endWorker();
    expect(told).toEqual([false]);
  });

  it("that it ended as a command was given to it", async () => {
    const { worker, endChild, endWorker, told } = startWorker();
    worker.give(Buffer.from("#1 true\n"), { ...NOBODY, isForStandby: true, saysBegun: true });
    endChild(" end 1 0 0 0");
    await endWorker();
    expect(told).toEqual([false]);
  });

  it("nothing where it was dismissed before", async () => {
    const { worker, endChild, endWorker, told } = startWorker();
    worker.give(Buffer.from("true\n"), { ...NOBODY, isForStandby: false, saysBegun: false });
    endChild(" end 1 0 0 0");
    await endWorker();
    expect(told).toEqual([]);
  });
});

it("a word that was late of one that was dismissed is not taken for that of its successor", async () => {
  const { worker, say, endChild, endWorker, told } = startWorker();
  void worker.prepare(KIND, false).then((isReady) => told.push(isReady));
  say(" waits");
  endChild(" end 1 0 0 0");
  expect(worker.standby?.isReady).toBe(false);
  endChild(" end 1 0 0 0");
  await endWorker();
  expect(told).toEqual([false]);
});

it("a word for both streams ends a command, with what might have been the beginning of a word on stderr", () => {
  const { worker, print, say } = startWorker();
  const pieces: string[] = [];
  const ends: ChildEnd[] = [];
  worker.give(Buffer.from("true\n"), {
    ...{ isForStandby: false, saysBegun: false, onBegun: () => {} },
    sink: (_, bytes) => pieces.push(bytes.toString()) > 0,
    onEnd: (end) => ends.push(end),
  });
  say(" end 1 0 0 0 both"); // the shell that waited
  print("so far \u0001smol", "stderr");
  say(" end 3 0 0 1 both");
  expect(pieces.join("")).toBe("so far \u0001smol");
  expect(ends).toEqual([{ kind: "exited", status: { code: 3 }, leftSomebody: false }]);
});

it("a shell that waits is dismissed, and its successor started, in one packet", () => {
  const { worker, written } = startWorker();
  const before = written.length;
  void worker.prepare(KIND, true);
  expect(written.slice(before)).toEqual([`exit\n\nahead login 2 bash\n${TOKEN}\n`]);
});
