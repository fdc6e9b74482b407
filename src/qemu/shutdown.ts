import { OperationTimeoutError } from "../errors.ts";
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
/** For each of the firmer steps, while it takes them. */
const FIRM_MS = 2_000;
/** One that says nothing to the first of them takes no other either: most likely a signal has stopped it. */
const SILENCE_MS = 1_000;
const LAST_CALL_MS = 500;
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
  let isSilent = false;
  const quit = () =>
    qmp.execute("quit", {}, { timeoutMs: SILENCE_MS }).catch((error) => {
      isSilent = error instanceof OperationTimeoutError;
      throw error;
    });
  const ladder: readonly Step[] = [
    {
      name: "guest",
      patienceMs: timeoutMs,
      act: (patience) => askGuest(process, qmp, patience, timeoutMs),
    },
    { name: "quit", patienceMs: FIRM_MS, act: quit },
    {
      name: "SIGTERM",
      get patienceMs() {
        return isSilent ? LAST_CALL_MS : FIRM_MS;
      },
      act: () => process.sendSignal("SIGTERM"),
    },
  ];
  for (const step of ladder) {
    if (await endsAfter(step, process)) return step.name;
  }
  await process.kill();
  return "SIGKILL";
}

/** What QEMU refuses, or does not take up in time, is not waited for. */
async function endsAfter({ act, patienceMs }: Step, process: QemuProcess): Promise<boolean> {
  const patience = new AbortController();
  const acting = (async () => act(patience.signal))();
  const refused = new Promise<never>((_, reject) => {
    acting.catch((error) => isVain(error) && reject(error));
  });
  const ending = Promise.race([process.exited, refused]);
  const ended = await bounded(ending, { operation: "Ending QEMU", timeoutMs: patienceMs }).then(
    () => true,
    () => process.exit !== null,
  );
  patience.abort();
  return ended;
}

function isVain(error: unknown): boolean {
  return error instanceof OperationTimeoutError || (error instanceof QmpError && error.phase === "command");
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
