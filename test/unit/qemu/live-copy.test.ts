import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationAbortedError, SmolVMError } from "../../../src/errors.ts";
import { type CopyEnd, copyLive } from "../../../src/qemu/live-copy.ts";
import { type Command, connected, type Peer, timestamp } from "../../support/qmp-peer.ts";

const ANSWER_MS = 3;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-copy-"));
});
afterEach(() => {
  expect(readdirSync(folder)).toEqual([]);
  rmSync(folder, { recursive: true });
});

/** Lives as long as the test. */
const process: CopyEnd["process"] = {
  whileAlive: (work) => work,
  exit: null,
  exited: new Promise(() => {}),
};

type Hear = (command: string) => void;
const nothing: Hear = () => {};

interface Model {
  state: "running" | "paused";
  readonly heard: string[];
}

/** As much of QEMU as a copy needs: its guest runs or stands, and a migration stops before its end. */
async function fakeSource(onHeard: Hear, onAnswered: Hear, refused = ""): Promise<CopyEnd & Model> {
  const model: Model = { state: "running", heard: [] };
  let isMigrating = false;
  const says = (peer: Peer, status: string) =>
    setTimeout(() => peer.say({ event: "MIGRATION", data: { status }, timestamp }), ANSWER_MS * 2);
  const acts: Record<string, (peer: Peer) => void> = {
    stop() {
      model.state = "paused";
    },
    cont() {
      model.state = "running";
    },
    migrate(peer) {
      isMigrating = true;
      says(peer, "pre-switchover");
    },
    "migrate-continue"(peer) {
      isMigrating = false;
      model.state = "paused";
      says(peer, "completed");
    },
    migrate_cancel(peer) {
      if (isMigrating) says(peer, "cancelled");
      isMigrating = false;
    },
  };
  const answer = ({ execute, id }: Command, peer: Peer) => {
    model.heard.push(execute);
    onHeard(execute);
    const error = { class: "GenericError", desc: "not now" };
    if (execute !== refused) acts[execute]?.(peer);
    setTimeout(() => {
      peer.say(execute === refused ? { error, id } : { return: {}, id });
      onAnswered(execute);
    }, ANSWER_MS);
  };
  const [qmp] = await connected(answer);
  return Object.assign(model, { process, qmp });
}

/** It never says that it has everything. */
async function fakeTarget(isDeaf = false): Promise<CopyEnd> {
  const [qmp] = await connected(({ id }, peer) => void (isDeaf || peer.say({ return: {}, id })));
  return { process, qmp };
}

const OPTIONS = { standsStill: true, timeoutMs: 5_000, goesOn: () => true };
const freeze = async ({ qmp }: CopyEnd) => void (await qmp.execute("blockdev-snapshot"));

const STEPS = [
  ...["migrate-set-capabilities", "migrate-set-parameters", "stop", "migrate"],
  ...["blockdev-snapshot", "migrate-continue", "cont"],
];

describe("a copy that is aborted", () => {
  it.each(
    STEPS.flatMap((step) => [
      [step, "heard"],
      [step, "answered"],
    ]),
  )("just as %s was %s leaves a guest that runs, and asks nothing more of it", async (step, moment) => {
    const abort = new AbortController();
    const onStep = (command: string) => command === step && abort.abort();
    const [onHeard, onAnswered] = moment === "heard" ? [onStep, nothing] : [nothing, onStep];
    const source = await fakeSource(onHeard, onAnswered);
    let isFrozen = false;
    const atPause = async () => {
      await freeze(source);
      isFrozen = true;
    };
    const copying = copyLive(source, await fakeTarget(), {
      ...{ ...OPTIONS, folder, atPause },
      signal: abort.signal,
    });
    await expect(copying).rejects.toBeInstanceOf(OperationAbortedError);
    const heard = [...source.heard];
    expect(isFrozen).toBe(heard.includes("blockdev-snapshot"));
    expect(heard.at(-1)).toBe("cont");
    await sleep(ANSWER_MS * 10);
    expect(source.heard).toEqual(heard);
    expect(source.state).toBe("running");
  });

  it("before it began, or while the other machine hangs, is over at once", async () => {
    for (const signal of [AbortSignal.abort(), AbortSignal.timeout(50)]) {
      const source = await fakeSource(nothing, nothing);
      const options = { ...OPTIONS, folder, atPause: () => freeze(source), signal };
      const calledMs = performance.now();
      await expect(copyLive(source, await fakeTarget(true), options)).rejects.toThrow(OperationAbortedError);
      expect(performance.now() - calledMs).toBeLessThan(1_000);
      expect(source.heard).not.toContain("stop");
      expect(source.state).toBe("running");
    }
  });
});

describe("a copy that fails", () => {
  it.each(STEPS.slice(0, -1))("because QEMU refuses %s leaves a guest that runs, at once", async (step) => {
    const source = await fakeSource(nothing, nothing, step);
    const options = { ...OPTIONS, folder, atPause: () => freeze(source) };
    const target = await fakeTarget();
    const calledMs = performance.now();
    await expect(copyLive(source, target, options)).rejects.toBeInstanceOf(SmolVMError);
    expect(source.state).toBe("running");
    expect(performance.now() - calledMs).toBeLessThan(3_000); // the other machine's last words are waited for
  });
});
