import { join } from "node:path";
import { type Bench, type Race, type Section, timed } from "../bench.ts";
import { judge, type Row, ratioOf, row, type SectionResult } from "../measure/result.ts";
import { cost } from "../report/readme.ts";
import { formatQuantity } from "../report/table.ts";
import { bootDebvm } from "../rivals/debvm.ts";
import { ensureDebvmImage } from "../rivals/debvm-image.ts";
import { copyPlainMachine, type PlainMachine } from "../rivals/plain-qemu.ts";
import { type PhaseSamples, phaseRows, timeFirstResult } from "./first-result.ts";
import { useMachine } from "./machine.ts";

const OURS = "cold start to the first result";
const FLOOR = "plain QEMU, ready line + one handshake";
const DEBVM = "debvm, boot to the first ssh result";
const DEBVM_ROUNDS = 3;

/** A cold start against the least it can be, and against Debian's own tool for the same thing. */
export const bootSection: Section = {
  name: "boot",
  title: "Cold boot (Debian 13, no memory snapshot)",
  run: runBoot,
};

async function runBoot(bench: Bench): Promise<SectionResult> {
  const phases: PhaseSamples = new Map();
  const floor = { readyMs: [] as number[], handshakeMs: [] as number[] };
  const options = { template: "off", sshKeyPath: bench.keyPath } as const;
  const { plain, accelerator } = await prepare(bench);
  const image = ensureDebvmImage(bench.cache, bench.keyPath, bench.say);
  await image.catch(() => undefined);

  const rounds = bench.rounds(7, 2);
  const race = await bench.race(
    [
      { name: OURS, warmups: 0, sample: () => timeFirstResult(options, phases, { shell: "raw" }) },
      { name: FLOOR, warmups: 0, sample: () => bootPlain(plain, floor) },
      {
        name: DEBVM,
        warmups: 0,
        everyRounds: DEBVM_ROUNDS,
        sample: async () =>
          bootDebvm({
            image: await image,
            keyPath: bench.keyPath,
            scratch: bench.scratch,
            emulates: accelerator === "tcg",
          }),
      },
    ],
    rounds,
  );
  return report(race, phases, floor, accelerator);
}

/** The first boot, which is a warm-up too, shows what QEMU is given. */
async function prepare(bench: Bench): Promise<{ plain: PlainMachine; accelerator: string }> {
  return useMachine(bench, { template: "off" }, async (vm) => {
    await vm.run("true");
    const { pid, boot } = await vm.info();
    if (pid === null || boot === null) throw new Error("info() of a running machine tells no process.");
    const plain = await copyPlainMachine(pid, join(bench.scratch, "plain"), bench.keyPath);
    bench.say(`plain QEMU once, to warm up: ${formatQuantity(await timed(() => plain.boot()), "ms")}`);
    return { plain, accelerator: boot.accelerator };
  });
}

async function bootPlain(
  plain: PlainMachine,
  seen: { readyMs: number[]; handshakeMs: number[] },
): Promise<number> {
  const { readyMs, handshakeMs } = await plain.boot();
  seen.readyMs.push(readyMs);
  seen.handshakeMs.push(handshakeMs);
  return readyMs + handshakeMs;
}

function report(
  race: Race,
  phases: PhaseSamples,
  seen: { readyMs: readonly number[]; handshakeMs: readonly number[] },
  accelerator: string,
): SectionResult {
  const [ours, floor, debvm] = [race.row(OURS), race.row(FLOOR), race.row(DEBVM)];
  const floorRows: Row[] = [
    row("  · ready line", "ms", seen.readyMs),
    row("  · handshake (OpenSSH)", "ms", seen.handshakeMs),
  ];
  const overFloor = ratioOf(ours, floor);
  const fasterThanDebvm = ratioOf(debvm, ours);
  const here = ours.summary ? formatQuantity(ours.summary.median, "ms") : "";
  return {
    kind: "measured",
    rows: [ours, ...phaseRows(phases), floor, ...floorRows, debvm],
    targets: [
      judge({
        claim: "cold start ÷ (plain QEMU's ready line + one handshake)",
        bound: "at most",
        limit: 1.25,
        unit: "×",
        value: overFloor,
        issue: 2,
      }),
      judge({
        claim: "debvm ÷ cold start",
        bound: "at least",
        limit: 8,
        unit: "×",
        value: fasterThanDebvm,
        issue: 2,
      }),
    ],
    costs: [
      ...cost("Cold start to the first result", "plain QEMU's boot + one SSH handshake", overFloor, here),
      ...cost("", "Debian's `debvm`", ratioOf(ours, debvm), ""),
    ],
    notes: [
      `Accelerator: ${accelerator}. Plain QEMU: the same arguments, kernel, initramfs and a fresh overlay of the same disk.`,
      "The handshake is OpenSSH's on that very machine, from the start of ssh to authenticated, with the cheapest key exchange.",
      "debvm has its own defaults: all CPUs, 1 GiB, systemd, OpenSSH's server.",
    ],
  };
}
