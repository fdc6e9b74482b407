import { SmolVM } from "smolvm";
import { type Bench, type Section, timed } from "../bench.ts";
import { row, type SectionResult } from "../measure/result.ts";
import { useMachine } from "./machine.ts";

const FORKS = 8;
const TICK = "while :; do echo tick; sleep 0.01; done";

/** How long a machine stands still while it is saved, as somebody sees it who reads its output. */
export const snapshotSection: Section = {
  name: "snapshot",
  title: "Snapshot of a running machine",
  run: runSnapshot,
};

/** Copies of a running machine. */
export const forkSection: Section = { name: "fork", title: `Fork of ${FORKS}`, run: runFork };

async function runSnapshot(bench: Bench): Promise<SectionResult> {
  return useMachine(bench, {}, async (vm) => {
    const undisturbed: number[] = [];
    const saved: number[] = [];
    const calls: number[] = [];
    const pauses: number[] = [];
    for (let n = 0; n < bench.rounds(5, 2); n++) {
      undisturbed.push(await longestSilence(vm, () => new Promise((resolve) => setTimeout(resolve, 1000))));
      saved.push(
        await longestSilence(vm, async () =>
          calls.push(await timed(async () => pauses.push(await snapshotOnce(vm)))),
        ),
      );
    }
    return {
      kind: "measured",
      rows: [
        row("longest silence while a snapshot is taken", "ms", saved),
        row("longest silence without one", "ms", undisturbed),
        row("the pause that snapshot() tells of", "ms", pauses),
        row("snapshot() and its removal, from call to return", "ms", calls),
      ],
      targets: [],
      costs: [],
      notes: [
        "A loop in the guest prints a line each 10 ms; the silence is the longest gap between two lines.",
      ],
    };
  });
}

/** Gives for how long the machine stood still, by its own account. */
async function snapshotOnce(vm: SmolVM): Promise<number> {
  const { name, pauseMs } = await vm.snapshot();
  await SmolVM.deleteSnapshot(name);
  return pauseMs;
}

/** In milliseconds. */
async function longestSilence(vm: SmolVM, meanwhile: () => Promise<unknown>): Promise<number> {
  const stop = new AbortController();
  let lastMs = 0;
  let longestMs = 0;
  const onStdout = () => {
    const nowMs = performance.now();
    if (lastMs > 0) longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  const ticking = vm.run(TICK, { shell: "raw", timeout: null, signal: stop.signal, onStdout }).then(
    () => undefined,
    () => undefined,
  );
  await meanwhile();
  stop.abort();
  await ticking;
  return longestMs;
}

async function runFork(bench: Bench): Promise<SectionResult> {
  return useMachine(bench, {}, async (vm) => {
    const totals: number[] = [];
    for (let n = 0; n < bench.rounds(3, 1); n++) totals.push(await forkOnce(vm));
    return {
      kind: "measured",
      rows: [row(`${FORKS} forks, until all have answered`, "ms", totals)],
      targets: [],
      costs: [],
      notes: [],
    };
  });
}

async function forkOnce(vm: SmolVM): Promise<number> {
  const startMs = performance.now();
  const forks = await vm.fork({ count: FORKS });
  try {
    await Promise.all(forks.map((fork) => fork.run("true", { shell: "raw", check: true })));
    return performance.now() - startMs;
  } finally {
    await Promise.all(forks.map((fork) => fork.delete()));
  }
}
