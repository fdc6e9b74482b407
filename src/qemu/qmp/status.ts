import * as v from "valibot";
import type { QmpClient } from "./client.ts";

const StatusSchema = v.object({ status: v.string() });
const MigrationSchema = v.object({ status: v.optional(v.string(), "none") });

/** QEMU's own word for how its guest stands, for example "running", "paused" or "postmigrate". However late it comes. */
export async function queryStatus(qmp: QmpClient): Promise<string> {
  return v.parse(StatusSchema, await qmp.send("query-status")).status;
}

/** The same for a migration out of it: "none" where there was none. */
export async function queryMigration(qmp: QmpClient): Promise<string> {
  return v.parse(MigrationSchema, await qmp.send("query-migrate")).status;
}

/** What that word means for the machine's user: "failed" is a guest that QEMU has stopped because of an error. */
export type RunState = "running" | "paused" | "failed";

const FAILED: ReadonlySet<string> = new Set([
  "internal-error",
  "io-error",
  "guest-panicked",
  "watchdog",
  "shutdown",
]);

export function runStateOf(word: string): RunState {
  if (word === "running") return "running";
  return FAILED.has(word) ? "failed" : "paused";
}
