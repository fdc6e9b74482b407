import { rename, rm } from "node:fs/promises";
import { OperationAbortedError, SmolVMError } from "../errors.ts";
import { bounded } from "../util/bounded.ts";
import { migrationEnd, prepareMigration } from "./migration.ts";
import { ended } from "./output.ts";
import type { QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";
import { listenForState } from "./state-receiver.ts";

export interface SaveOptions {
  /** The file that gets the state: devices and processors, and the memory too unless it lies in a shared file. It appears whole or not at all. */
  readonly statePath: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

type SaveStep = "making the socket" | "pausing the guest" | "preparing QEMU" | "writing the state";

/** Far more than any disk takes: QEMU's own limit is meant for networks. */
const BYTES_PER_SECOND = 2 ** 40;

/**
 * Pauses a machine and writes down its state. It stays paused, whether that works or not. SmolVMError "SAVE" says during
 * what it broke; OperationAbortedError.
 */
export async function saveState(
  process: QemuProcess,
  qmp: QmpClient,
  leavesMemoryOut: boolean,
  { statePath, timeoutMs, signal }: SaveOptions,
): Promise<void> {
  const draft = `${statePath}.part`;
  let step: SaveStep = "making the socket";
  const receiver = await listenForState(draft).catch((cause) => {
    throw saveError(step, statePath, cause);
  });
  const end = migrationEnd(qmp);
  const work = async () => {
    step = "pausing the guest";
    await qmp.execute("stop");
    step = "preparing QEMU";
    await prepareMigration(qmp, leavesMemoryOut);
    await qmp.execute("migrate-set-parameters", { "max-bandwidth": BYTES_PER_SECOND });
    step = "writing the state";
    const migrate = qmp.execute("migrate", { uri: `unix:${receiver.socketPath}` });
    await Promise.all([migrate, end.ended, receiver.received]);
    await rename(draft, statePath);
  };
  try {
    await bounded(process.whileAlive(work()), { operation: "Saving the machine", timeoutMs, signal });
  } catch (cause) {
    if (!process.exit) void qmp.execute("migrate_cancel").catch(() => {});
    await rm(draft, { force: true }).catch(() => {}); // the first error tells more
    throw cause instanceof OperationAbortedError ? cause : saveError(step, statePath, cause);
  } finally {
    end.stopListening();
    await receiver.close();
  }
}

function saveError(step: SaveStep, statePath: string, cause: unknown): SmolVMError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SmolVMError("SAVE", `The machine could not be saved: ${step} failed: ${ended(why)}`, {
    cause,
    details: { step, statePath },
  });
}
