import type { GuestIdentity, GuestMessage } from "./console.ts";
import type { QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";
import { hearGuest, type WaitOptions } from "./wait.ts";

/** An answer that took longer leaves open whether the guest's clock is right to the second. */
const LONGEST_ROUND_TRIP_MS = 600;
/** What a line takes on its way, more or less: added before the time is rounded, so that it is wrong by -0.9 to +0.7 s at the very most. */
const EXPECTED_WAY_MS = 200;
/** A host that is so busy that no answer comes in time will not be less so for more questions. */
const MOST_REQUESTS = 4;
const ASK_EVERY_MS = 1_000;

/**
 * Makes a restored guest, which runs, a machine of its own: its name, its machine-id, its clock. Resolves when it has
 * answered. The time travels in whole seconds, as a shell's builtins know no others: half a second off at most, and
 * what the line takes on its way; so an answer that took long is followed by another request.
 */
export async function giveIdentity(
  process: QemuProcess,
  qmp: QmpClient,
  identity: GuestIdentity,
  options: WaitOptions,
): Promise<void> {
  const sentMs: number[] = [];
  const ask = () => {
    const request = sentMs.push(performance.now()) - 1;
    process.console.giveIdentity(identity, Math.round((Date.now() + EXPECTED_WAY_MS) / 1000), request);
  };
  let answers = 0;
  const accept = (message: GuestMessage) => {
    if (message.kind !== "identity") return false;
    const sent = sentMs[message.request];
    if (sent === undefined) return false;
    answers += 1;
    if (performance.now() - sent <= LONGEST_ROUND_TRIP_MS || answers >= MOST_REQUESTS) return true;
    ask();
    return false;
  };
  const waiting = hearGuest(
    process,
    qmp,
    { word: "identity", accept, ask, askEveryMs: ASK_EVERY_MS },
    options,
    null,
  );
  ask();
  await waiting;
}
