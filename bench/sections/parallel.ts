import { type Bench, type Section, timed } from "../bench.ts";
import { judge, ratioOf, type SectionResult } from "../measure/result.ts";
import { cost } from "../report/readme.ts";
import { formatQuantity } from "../report/table.ts";
import { useMachine } from "./machine.ts";

const COMMANDS = 16;
const IN_TURN = `${COMMANDS} commands one after the other`;
const AT_ONCE = `${COMMANDS} commands at once`;
const WAITING_IN_TURN = `${COMMANDS} × sleep 0.1 one after the other`;
const WAITING_AT_ONCE = `${COMMANDS} × sleep 0.1 at once`;

/** What many commands at once gain over one after the other, on a guest with two CPUs. */
export const parallelSection: Section = {
  name: "parallel",
  title: "Commands in parallel (guest with 2 CPUs)",
  run: runParallel,
};

function runParallel(bench: Bench): Promise<SectionResult> {
  return useMachine(bench, { vcpuCount: 2 }, async (vm) => {
    const once = (command: string) => vm.run(command, { shell: "raw", check: true });
    const race = await bench.race(
      [
        { name: IN_TURN, sample: () => timed(() => inTurn(() => once("true"))) },
        { name: AT_ONCE, sample: () => timed(() => atOnce(() => once("true"))) },
        { name: WAITING_IN_TURN, sample: () => timed(() => inTurn(() => once("sleep 0.1"))) },
        { name: WAITING_AT_ONCE, sample: () => timed(() => atOnce(() => once("sleep 0.1"))) },
      ],
      bench.rounds(8, 2),
    );
    const [turn, parallel] = [race.row(IN_TURN), race.row(AT_ONCE)];
    const gain = ratioOf(turn, parallel);
    const here = parallel.summary
      ? formatQuantity((COMMANDS * 1000) / parallel.summary.median, "per second")
      : "";
    return {
      kind: "measured",
      rows: [turn, parallel, race.row(WAITING_IN_TURN), race.row(WAITING_AT_ONCE)],
      targets: [
        judge({
          claim: `${IN_TURN} ÷ at once`,
          bound: "at least",
          limit: 3,
          unit: "×",
          value: gain,
          issue: 3,
        }),
      ],
      costs: cost(`${COMMANDS} commands at once`, "one after the other", ratioOf(parallel, turn), here),
      notes: ["`true` only takes CPU time, of which two CPUs have twice as much; `sleep` only waits."],
    };
  });
}

async function inTurn(command: () => PromiseLike<unknown>): Promise<void> {
  for (let n = 0; n < COMMANDS; n++) await command();
}

async function atOnce(command: () => PromiseLike<unknown>): Promise<void> {
  await Promise.all(Array.from({ length: COMMANDS }, command));
}
