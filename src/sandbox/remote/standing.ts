import { findMachine, isBad, judgeOwner } from "../../state/machine-folder.ts";
import type { MachineRecord, MachineSpec } from "../../state/machine-record.ts";
import type { StatePaths } from "../../state/paths.ts";
import { observe } from "../machine/info.ts";
import type { Phase } from "../machine/status.ts";

/** What only a holder can tell. */
const HELD: readonly Phase[] = ["starting", "running", "paused", "stopping"];

export function isHeld(phase: Phase): boolean {
  return HELD.includes(phase);
}

interface Standing {
  readonly phase: Phase;
  readonly reason: string;
  /** Null where there is none that can be read. */
  readonly record: MachineRecord | null;
}

/** How a machine stands by its files, held against what lives. */
export async function readStanding(state: StatePaths, { name, id }: MachineSpec): Promise<Standing> {
  const found = await findMachine(state, name);
  if (!found) return { phase: "deleted", reason: "", record: null };
  const { record, paths } = found;
  if (isBad(record)) return { phase: "error", reason: record.problem, record: null };
  if (record.spec.id !== id) return { phase: "deleted", reason: "", record: null };
  const held = await judgeOwner(record, paths);
  const { status, reason } = await observe(record, held);
  const isOver = !record.spec.persistent && status === "error" && held.life === "dead";
  return { phase: isOver ? "deleted" : status, reason, record };
}
