import { bounded } from "../util/bounded.ts";
import type { QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";

/** What ended a machine, from the gentlest to the firmest. */
export type ShutdownStep = "guest" | "quit" | "SIGTERM" | "SIGKILL";

interface Step {
  readonly name: ShutdownStep;
  readonly patienceMs: number;
  /** May fail: the next step is firmer. */
  readonly act: (patience: AbortSignal) => unknown;
}

const ASK_AGAIN_MS = 500;
/** What only a guest of ours says, and only once it listens. */
const LISTENING: ReadonlySet<string> = new Set(["ready", "quiet", "identity", "reseeded"]);

/** Climbs the ladder until QEMU is gone. */
export async function shutDown(
  process: QemuProcess,
  qmp: QmpClient,
  timeoutMs: number,
): Promise<ShutdownStep> {
  const ladder: readonly Step[] = [
    { name: "guest", patienceMs: timeoutMs, act: (patience) => askGuest(process, qmp, patience) },
    { name: "quit", patienceMs: 2_000, act: () => qmp.execute("quit", {}, { timeoutMs: 2_000 }) },
    { name: "SIGTERM", patienceMs: 2_000, act: () => process.sendSignal("SIGTERM") },
  ];
  for (const step of ladder) {
    if (await endsAfter(step, process)) return step.name;
  }
  await process.kill();
  return "SIGKILL";
}

async function endsAfter({ act, patienceMs }: Step, process: QemuProcess): Promise<boolean> {
  const patience = new AbortController();
  const acting = (async () => act(patience.signal))().catch(() => {});
  const ended = await bounded(process.exited, { operation: "Ending QEMU", timeoutMs: patienceMs }).then(
    () => true,
    () => false,
  );
  patience.abort();
  if (ended) await acting;
  return ended;
}

/** A guest of ours listens on its console; any other may know what a power button is. */
async function askGuest(process: QemuProcess, qmp: QmpClient, patience: AbortSignal): Promise<void> {
  if (process.exit) return;
  await qmp.execute("cont"); // a paused guest hears nothing
  if (!LISTENING.has(process.console.lastMessage?.kind ?? "")) {
    await qmp.execute("system_powerdown");
    return;
  }
  process.console.requestPoweroff();
  // A guest that has only just come up may miss the first.
  const again = setInterval(() => process.console.requestPoweroff(), ASK_AGAIN_MS);
  patience.addEventListener("abort", () => clearInterval(again), { once: true });
}
