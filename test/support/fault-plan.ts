import type { Random } from "./random.ts";

/** The life of a machine: in which state each step finds it, and how long the step takes, roughly. */
export const STEPS = {
  create: { from: "none", ms: 700 },
  run: { from: "running", ms: 400 },
  stop: { from: "running", ms: 250 },
  start: { from: "stopped", ms: 3500 },
  pause: { from: "running", ms: 30 },
  resume: { from: "paused", ms: 40 },
  snapshot: { from: "running", ms: 1500 },
  restore: { from: "saved", ms: 900 },
  fork: { from: "running", ms: 2000 },
  delete: { from: "running", ms: 60 },
} as const;

export const KILLS = {
  "kill creator": ["creator"],
  "kill supervisor": ["supervisor"],
  "kill QEMU": ["qemu"],
  "kill guardian": ["guardian"],
  "kill creator and QEMU": ["creator", "qemu"],
  "kill supervisor and guardian": ["supervisor", "guardian"],
  "kill supervisor and QEMU": ["supervisor", "qemu"],
  "kill all": ["creator", "supervisor", "qemu", "guardian"],
} as const;

export const STANDSTILLS = {
  "stop QEMU for a while": ["qemu", "continue"],
  "stop QEMU, then delete": ["qemu", "delete"],
  "stop supervisor for a while": ["supervisor", "continue"],
  "stop supervisor, then delete": ["supervisor", "delete"],
} as const;

const RECORDS = ["record damaged", "record truncated", "record missing", "record newer"] as const;
const OTHERS = ["port taken", "clock jumps"] as const;

/** What befalls the host, and what those do who share its state folder. */
export const HOST_FAULTS = [
  "slow QMP",
  "failing calls",
  "failing removals",
  "out of descriptors",
  "second image",
  "other PID namespace",
] as const;
/** A neighbour's own business, or a pause that every caller has the patience for: the call is to work all the same. */
const HARMLESS_MS = 5_000;

type Step = keyof typeof STEPS;
type Kill = keyof typeof KILLS;
type Standstill = keyof typeof STANDSTILLS;
export type RecordFault = (typeof RECORDS)[number];
export type HostFault = (typeof HOST_FAULTS)[number];
type Fault = Kill | Standstill | RecordFault | (typeof OTHERS)[number] | HostFault | "disk full";

/** All that is chosen of a round. */
export interface Plan {
  readonly round: number;
  readonly image: "tiny" | "debian";
  readonly persistent: boolean;
  readonly step: Step;
  readonly fault: Fault;
  /** Who asks for the step: the program that made the machine, or another one. */
  readonly by: "creator" | "other";
  /** How far into the step it comes, in percent of what the step usually takes. */
  readonly percent: number;
  /** How long what stands still does. */
  readonly pauseMs: number;
  readonly days: number;
  /** Of commands to QEMU, or calls of the file system: how many go well before, and how many then fail in which way. */
  readonly skip: number;
  readonly times: number;
  readonly code: (typeof CODES)[number];
  /** For how long QEMU stands still at a command. */
  readonly slowMs: number;
}

const CODES = ["EMFILE", "ENOSPC", "EIO", "EDQUOT"] as const;

/** A start takes as long as several others: it comes half as often. */
const OTHER_STEPS = Object.keys(STEPS).filter((step) => step !== "start") as Step[];
const WEIGHED_STEPS: readonly Step[] = [...OTHER_STEPS, ...OTHER_STEPS, "start"];
const PORT_STEPS: readonly Step[] = ["create", "start", "restore"];
const NEEDS_SUPERVISOR = /supervisor/;

/** Always the same rounds for the same seed. */
export function planRound(random: Random, round: number): Plan {
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const persistent = random(100) < 60;
  const step = pick(WEIGHED_STEPS);
  return {
    round,
    image: random(100) < 12 ? "debian" : "tiny",
    persistent,
    step,
    fault: pick(faultsFor(step, persistent)),
    by: step !== "create" && random(3) === 0 ? "other" : "creator",
    percent: random(120),
    pauseMs: 50 + random(1500),
    days: (random(2) === 0 ? -1 : 1) * (1 + random(30)),
    ...{ skip: random(12), times: 1 + random(4), code: pick(CODES), slowMs: 500 + random(2500) },
  };
}

function faultsFor(step: Step, persistent: boolean): Fault[] {
  const kills = Object.keys(KILLS) as Kill[];
  const standstills = Object.keys(STANDSTILLS) as Standstill[];
  return [
    ...[...kills, ...kills, ...standstills].filter((fault) => persistent || !NEEDS_SUPERVISOR.test(fault)),
    ...RECORDS,
    ...(PORT_STEPS.includes(step) ? (["port taken", "port taken"] as const) : []),
    "clock jumps",
  ];
}

/** The same for a host whose disk is full: of processes that end there are enough rounds. */
export function planFullDisk(random: Random, round: number): Plan {
  return { ...planRound(random, round), fault: "disk full", by: "creator" };
}

const STEPS_BY_FAULT: Partial<Record<HostFault, readonly Step[]>> = {
  "slow QMP": OTHER_STEPS.filter((step) => step !== "run"),
  "second image": ["start", "restore"],
};

/** One of each in turn. `longestMs`: for how long QEMU stands still at most. */
export function planHostFault(random: Random, round: number, turn: number, longestMs: number): Plan {
  const plan = planRound(random, round);
  const fault = HOST_FAULTS[turn % HOST_FAULTS.length] as HostFault;
  const steps = STEPS_BY_FAULT[fault] ?? [plan.step];
  const step = steps[random(steps.length)] as Step;
  const isOfDisk = fault === "second image";
  return {
    ...plan,
    ...{ fault, step, slowMs: 500 + random(longestMs - 500) },
    ...(isOfDisk && { image: "debian", persistent: true }),
    by: step === "create" ? "creator" : plan.by,
  };
}

/** Whether the call must work though this happens. */
export function isHarmless({ fault, slowMs }: Plan): boolean {
  if (fault === "slow QMP") return slowMs <= HARMLESS_MS;
  const harmless: readonly Fault[] = ["clock jumps", "second image", "other PID namespace"];
  return harmless.includes(fault) || fault.endsWith("for a while");
}

/** What has to be there as the step begins. */
export function comesBefore({ fault }: Plan): boolean {
  return ["slow QMP", "failing calls", "failing removals", "second image"].includes(fault);
}
