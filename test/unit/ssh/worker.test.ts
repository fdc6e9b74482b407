import { describe, expect, it } from "vitest";
import type { ExitStatus, OutputSink, OutputStream, SshChannel } from "../../../src/ssh/channel.ts";
import { Worker } from "../../../src/ssh/worker.ts";

const TOKEN = "smolvm-word";
const KIND = { kind: "login", language: "bash", epoch: 0 } as const;
const NOBODY = { sink: () => true, onBegun: () => {}, onEnd: () => {} };

/** A worker with a shell that is started ahead of time, and what it tells of that one. */
function startWorker() {
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
    write: async () => {},
    end: () => {},
    close: () => {},
    exited,
    closed: exited,
  } as unknown as SshChannel;
  const worker = new Worker(channel, TOKEN, 0);
  const say = (words: string, stream: OutputStream = "stdout") =>
    sink(stream, Buffer.from(`\u0001${TOKEN}${words}\n`));
  const told: boolean[] = [];
  say(" ready 5");
  void worker.prepare(KIND, false).then((isReady) => told.push(isReady));
  return {
    worker,
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
    worker.dismissStandby();
    endChild(" end 1 0 0 0");
    await endWorker();
    expect(told).toEqual([]);
  });
});

it("a word that was late of one that was dismissed is not taken for that of its successor", async () => {
  const { worker, say, endChild, endWorker, told } = startWorker();
  worker.dismissStandby();
  void worker.prepare(KIND, false).then((isReady) => told.push(isReady));
  say(" waits");
  endChild(" end 1 0 0 0");
  expect(worker.standby?.isReady).toBe(false);
  endChild(" end 1 0 0 0");
  await endWorker();
  expect(told).toEqual([false]);
});
