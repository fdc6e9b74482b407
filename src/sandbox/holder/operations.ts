import * as v from "valibot";
import { decodeSavedMachine, type SavedMachine } from "../../state/snapshots.ts";
import { pauseMachine, resumeMachine } from "../lifecycle/pause.ts";
import { startMachine } from "../lifecycle/start.ts";
import { removeMachine, stopMachine } from "../lifecycle/stop.ts";
import type { Machine } from "../machine/machine.ts";
import type { Operation } from "../remote/protocol.ts";
import { copyMachine } from "../snapshot/copy.ts";
import { snapshotMachine } from "../snapshot/snapshots.ts";
import { describeOwn } from "./describe-own.ts";

interface OperationContext {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: unknown) => void;
  /** A copy that belongs to the caller: it goes with the caller, if not before. */
  readonly keepCopy: (folder: string) => void;
}

type Perform = (machine: Machine, args: unknown, context: OperationContext) => Promise<unknown>;

const milliseconds = v.pipe(v.number(), v.minValue(0.001));
const TimedSchema = v.object({ timeoutMs: milliseconds });
const StartSchema = v.object({
  timeoutMs: milliseconds,
  /** What was over of that when the holder was asked. */
  spentMs: v.pipe(v.number(), v.minValue(0)),
  origin: v.optional(v.unknown()),
});
const SnapshotSchema = v.object({ name: v.string(), timeoutMs: milliseconds });
const CopySchema = v.object({ verb: v.picklist(["fork", "snapshot"]), timeoutMs: milliseconds });

/** What another process can ask of a machine. */
export const operations: Readonly<Record<Operation, Perform>> = {
  async start(machine, args, { signal, onProgress }) {
    const { timeoutMs, spentMs, origin } = v.parse(StartSchema, args);
    if (origin !== undefined && !machine.wasBooted) machine.origin = decodeSavedMachine(origin);
    await startMachine(machine, { timeout: `${timeoutMs}ms`, signal, onProgress }, spentMs);
  },
  async stop(machine, args) {
    const { timeoutMs } = v.parse(TimedSchema, args);
    await stopMachine(machine, { timeout: `${timeoutMs}ms` });
  },
  pause: (machine) => pauseMachine(machine),
  resume: (machine) => resumeMachine(machine),
  /** Has its guest mend what may keep the caller from connecting. */
  async mend({ booted }) {
    booted?.qemu.console.askToMend();
  },
  remove: (machine) => removeMachine(machine),
  describe: (machine) => describeOwn(machine),
  async snapshot(machine, args, { signal }) {
    const { name, timeoutMs } = v.parse(SnapshotSchema, args);
    return snapshotMachine(machine, name, { timeout: `${timeoutMs}ms`, signal });
  },
  async copy(machine, args, { signal, keepCopy }) {
    const { verb, timeoutMs } = v.parse(CopySchema, args);
    const saved = await copyMachine(machine, verb, { timeoutMs, signal });
    keepCopy(saved.paths.folder);
    return saved satisfies SavedMachine;
  },
};
