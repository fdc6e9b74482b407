import { migrationEnd, prepareMigration } from "./migration.ts";
import { FIRST_FILE_FD } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";

/** What a machine is restored from, instead of being booted. */
export interface SavedState {
  /** The state's file, open for reading, from its beginning. QEMU gets it; closing it is the caller's. */
  readonly fd: number;
  /** Whether the memory lies in the description's file instead of the state. */
  readonly leavesMemoryOut: boolean;
}

/** Resolves when the guest is as it was saved, paused. All is asked for at once: each answer waited for would cost its way there and back. */
export async function restoreState(qmp: QmpClient, { leavesMemoryOut }: SavedState): Promise<void> {
  const end = migrationEnd(qmp);
  try {
    await Promise.all([
      prepareMigration(qmp, leavesMemoryOut),
      qmp.execute("migrate-incoming", { uri: `fd:${FIRST_FILE_FD}` }),
      end.ended,
    ]);
  } finally {
    end.stopListening();
  }
}
