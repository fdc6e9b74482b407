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

type Step = keyof typeof STEPS;
type Kill = keyof typeof KILLS;
type Standstill = keyof typeof STANDSTILLS;
export type RecordFault = (typeof RECORDS)[number];
type Fault = Kill | Standstill | RecordFault | (typeof OTHERS)[number] | "disk full";

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
}

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
