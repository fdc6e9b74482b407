import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { SmolVM } from "smolvm";
import { type Bench, type Section, timed } from "../bench.ts";
import { judge, type Row, ratioOf, type SectionResult, type Target } from "../measure/result.ts";
import { timeProgram } from "../processes.ts";
import { cost } from "../report/readme.ts";
import { formatQuantity } from "../report/table.ts";
import { openMaster, splitShellWords, withOptions } from "../rivals/openssh.ts";
import { useMachine } from "./machine.ts";

const SIZES = [
  { mib: 1, usual: 15, quick: 3 },
  { mib: 64, usual: 4, quick: 1 },
] as const;

/** How fast a command's output arrives, against OpenSSH's client writing it into a file. */
export const outputSection: Section = { name: "output", title: "A command's output", run: runOutput };

function runOutput(bench: Bench): Promise<SectionResult> {
  return useMachine(bench, {}, async (vm) => {
    const ssh = withOptions(await splitShellWords(vm.sshCommands().ssh));
    const master = await openMaster(ssh, join(bench.scratch, "output-master"));
    try {
      const parts = [];
      for (const { mib, usual, quick } of SIZES) {
        parts.push(
          await raceSize(bench, vm, {
            mib,
            rounds: bench.rounds(usual, quick),
            fresh: ssh,
            multiplexed: master.ssh,
          }),
        );
      }
      return {
        kind: "measured",
        rows: parts.flatMap(({ rows }) => rows),
        targets: parts.map(({ target }) => target),
        costs: parts.flatMap(({ costs }) => costs),
        notes: [
          "Random bytes from a file in the guest's page cache; run() keeps all of them (maxOutputBytes), ssh writes them into a file.",
        ],
      };
    } finally {
      await master.close();
    }
  });
}

interface Size {
  readonly mib: number;
  readonly rounds: number;
  readonly fresh: readonly string[];
  readonly multiplexed: readonly string[];
}

async function raceSize(bench: Bench, vm: SmolVM, { mib, rounds, fresh, multiplexed }: Size) {
  const bytes = mib * 1024 ** 2;
  const source = `/tmp/bench-${mib}`;
  await vm.run(`head -c ${bytes} /dev/urandom > ${source} && cat ${source} > /dev/null`, {
    check: true,
    timeout: 120,
  });
  const [ours, file, through] = [
    `${mib} MiB: run()`,
    `${mib} MiB: ssh > file`,
    `${mib} MiB: ssh over ControlMaster > file`,
  ];
  const target = join(bench.scratch, `output-${mib}`);
  const race = await bench.race(
    [
      { name: ours, sample: () => timed(() => runForOutput(vm, source, bytes)) },
      { name: file, sample: () => sshIntoFile(fresh, source, target, bytes) },
      { name: through, sample: () => sshIntoFile(multiplexed, source, target, bytes) },
    ],
    rounds,
  );
  await vm.run(["rm", source]);
  return summarizeSize(mib, race.row(ours), race.row(file), race.row(through));
}

async function runForOutput(vm: SmolVM, source: string, bytes: number): Promise<void> {
  const { stdoutBytes } = await vm.run(`cat ${source}`, {
    shell: "raw",
    check: true,
    timeout: 120,
    maxOutputBytes: bytes,
  });
  if (stdoutBytes.length !== bytes)
    throw new Error(`run() returned ${stdoutBytes.length} of ${bytes} bytes.`);
}

async function sshIntoFile(
  ssh: readonly string[],
  source: string,
  target: string,
  bytes: number,
): Promise<number> {
  const file = await open(target, "w");
  try {
    const tookMs = await timeProgram([...ssh, `cat ${source}`], file.fd);
    const { size } = await stat(target);
    if (size !== bytes) throw new Error(`ssh wrote ${size} of ${bytes} bytes.`);
    return tookMs;
  } finally {
    await file.close();
    await rm(target);
  }
}

function summarizeSize(
  mib: number,
  ours: Row,
  file: Row,
  through: Row,
): { rows: Row[]; target: Target; costs: ReturnType<typeof cost> } {
  const ratio = ratioOf(ours, file);
  const speed = ours.summary ? formatQuantity((mib * 1000) / ours.summary.median, "MiB/s") : "";
  return {
    rows: [ours, file, through],
    target: judge({
      claim: `${ours.name} ÷ ssh > file`,
      bound: "at most",
      limit: 1,
      unit: "×",
      value: ratio,
      issue: 3,
    }),
    costs: cost(`${mib} MiB of output`, "`ssh … > file`", ratio, speed),
  };
}
