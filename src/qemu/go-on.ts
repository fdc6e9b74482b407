import { setTimeout as sleep } from "node:timers/promises";
import type { QmpClient } from "./qmp/client.ts";
import { QmpError } from "./qmp/error.ts";
import { queryMigration, queryStatus } from "./qmp/status.ts";

/** How long QEMU may refuse to let a guest go on, while it answers. */
const GO_ON_MS = 5_000;
/** Mostly it is over at once; where it hangs, each question costs QEMU and us something. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 1_000;
/** A migration that is not one of these is not under way. */
const OVER: ReadonlySet<string> = new Set(["none", "completed", "failed", "cancelled"]);

/** Lets the guest go on. QEMU tells that a migration is over a moment before it allows that, and has no word for it. */
export async function goOn(qmp: QmpClient): Promise<void> {
  const deadlineMs = performance.now() + GO_ON_MS;
  for (;;) {
    try {
      await qmp.send("cont");
      return;
    } catch (error) {
      const isTooSoon = error instanceof QmpError && error.message.includes("not finalized");
      if (!isTooSoon || performance.now() > deadlineMs) throw error;
    }
    await sleep(1);
  }
}

/**
 * Ends a migration that is under way, and lets the guest go on where it `goesOn`: by what QEMU says of itself, however late, and not by
 * what it was asked. QmpError where it has ended, or says that the guest can't go on.
 */
export async function letGoOn(qmp: QmpClient, goesOn: () => boolean): Promise<void> {
  let pauseMs = 0;
  for (
    let migration = await queryMigration(qmp);
    !OVER.has(migration);
    migration = await queryMigration(qmp)
  ) {
    if (pauseMs === 0) await qmp.send("migrate_cancel");
    pauseMs = pauseMs === 0 ? FIRST_PAUSE_MS : Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    await sleep(pauseMs, undefined, { ref: false });
  }
  if (goesOn() && (await queryStatus(qmp)) !== "running") await goOn(qmp);
}
