import * as v from "valibot";
import { LEAVES_MEMORY_OUT } from "./features.ts";
import type { QmpClient } from "./qmp/client.ts";
import { QmpError } from "./qmp/error.ts";

const OutcomeSchema = v.object({ status: v.string() });
const ReportSchema = v.object({ "error-desc": v.optional(v.string()) });

/**
 * Both sides of a save must agree on this. With `leavesMemoryOut` what lies in a shared file is not saved a second time. With
 * `standsStill` QEMU waits, when the guest stands still and before it writes the last of it, until it is told to go on.
 */
export async function prepareMigration(
  qmp: QmpClient,
  leavesMemoryOut: boolean,
  standsStill = false,
): Promise<void> {
  const capabilities = [
    { capability: "events", state: true },
    { capability: LEAVES_MEMORY_OUT, state: leavesMemoryOut },
    { capability: "pause-before-switchover", state: standsStill },
  ];
  await qmp.send("migrate-set-capabilities", { capabilities });
}

/** Resolves when QEMU says that the migration is complete, rejects when it says that it failed. To be called before it begins. */
export function migrationEnd(qmp: QmpClient): { readonly ended: Promise<void>; stopListening(): void } {
  let stopListening = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    stopListening = qmp.onEvent(({ name, data }) => {
      if (name !== "MIGRATION" || !v.is(OutcomeSchema, data)) return;
      if (data.status === "completed") resolve();
      if (data.status === "failed" || data.status === "cancelled")
        void explain(qmp, data.status).then(reject);
    });
  });
  ended.catch(() => {}); // heard by the one that waits for it, if anybody still does
  return { ended, stopListening };
}

async function explain(qmp: QmpClient, status: string): Promise<QmpError> {
  const report = await qmp.execute("query-migrate", {}, { timeoutMs: 2_000 }).catch(() => undefined);
  const reason = v.is(ReportSchema, report) ? report["error-desc"] : undefined;
  return new QmpError(
    "command",
    `QEMU says that the migration is ${status}: ${reason ?? "it tells no reason"}`,
  );
}
