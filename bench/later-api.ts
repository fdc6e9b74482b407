import type { SmolVMOptions } from "smolvm";
import * as smolvm from "smolvm";
import type { SectionResult } from "./measure/result.ts";

/** Calls of the public interface that came after the first release; each section that needs one says so where it is missing. */
interface LaterApi {
  readonly SmolVMPool?: new (options: SmolVMOptions & { size: number }) => MachinePool;
}

export interface MachinePool {
  acquire(): Promise<smolvm.SmolVM>;
  close(): Promise<void>;
}

export interface CopyableMachine {
  snapshot(name?: string): Promise<{ readonly name: string }>;
  fork(options: { count: number }): Promise<smolvm.SmolVM[]>;
}

export const SmolVMPool = (smolvm as LaterApi).SmolVMPool;

export function isCopyable(vm: smolvm.SmolVM): vm is smolvm.SmolVM & CopyableMachine {
  return "snapshot" in vm && "fork" in vm;
}

/** Machines are started from memory snapshots since they can be copied at all. */
export function canClone(): boolean {
  return "fork" in smolvm.SmolVM.prototype;
}

export const NOT_YET: SectionResult = {
  kind: "skipped",
  reason: "this version of smolvm has no memory snapshots.",
};
