import { bounded } from "../util/bounded.ts";
import type { QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";
import { QmpError } from "./qmp/error.ts";

/** What ended a machine, from the gentlest to the firmest. */
export type ShutdownStep = "guest" | "quit" | "SIGTERM" | "SIGKILL";

interface Step {
  readonly name: ShutdownStep;
  readonly patienceMs: number;
  /** May fail: the next step is firmer. */
  readonly act: (patience: AbortSignal) => unknown;
}

const ASK_AGAIN_MS = 500;
/** Of the time that it is given, a guest keeps this part for what comes when nobody lives any more: its disk has to have it all. */
const SYNC_PART = 0.2;
const LEAST_SYNC_MS = 200;
const MOST_SYNC_MS = 5_000;

/** Climbs the ladder until QEMU is gone. */
export async function shutDown(
  process: QemuProcess,
  qmp: QmpClient,
  timeoutMs: number,
): Promise<ShutdownStep> {
  const ladder: readonly Step[] = [
    { name: "guest", patienceMs: timeoutMs, act: (patience) => askGuest(process, qmp, patience, timeoutMs) },
    { name: "quit", patienceMs: 2_000, act: () => qmp.execute("quit", {}, { timeoutMs: 2_000 }) },
    { name: "SIGTERM", patienceMs: 2_000, act: () => process.sendSignal("SIGTERM") },
  ];
  for (const step of ladder) {
    if (await endsAfter(step, process)) return step.name;
  }
  await process.kill();
  return "SIGKILL";
}

/** What QEMU refuses is not waited for. */
async function endsAfter({ act, patienceMs }: Step, process: QemuProcess): Promise<boolean> {
  const patience = new AbortController();
  const acting = (async () => act(patience.signal))();
  const refused = new Promise<never>((_, reject) => {
    acting.catch((error) => error instanceof QmpError && error.phase === "command" && reject(error));
  });
  const ending = Promise.race([process.exited, refused]);
  const ended = await bounded(ending, { operation: "Ending QEMU", timeoutMs: patienceMs }).then(
    () => true,
    () => process.exit !== null,
  );
  patience.abort();
  return ended;
}

/** A guest of ours listens on its console; any other may know what a power button is. */
async function askGuest(
  process: QemuProcess,
  qmp: QmpClient,
  patience: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  if (process.exit) return;
  const deadlineMs = performance.now() + graceOf(timeoutMs);
  await qmp.send("cont"); // a paused guest hears nothing
  if (patience.aborted) return;
  if (!process.console.listens) {
    await qmp.send("system_powerdown");
    return;
  }
  const ask = () => process.console.requestPoweroff(Math.max(0, deadlineMs - performance.now()));
  ask();
  // A guest that has only just come up may miss the first.
  const again = setInterval(ask, ASK_AGAIN_MS);
  patience.addEventListener("abort", () => clearInterval(again), { once: true });
}

/** How long what lives in a guest may take to end, where the whole machine may take so long. */
function graceOf(timeoutMs: number): number {
  return timeoutMs - Math.min(MOST_SYNC_MS, Math.max(LEAST_SYNC_MS, timeoutMs * SYNC_PART));
}
