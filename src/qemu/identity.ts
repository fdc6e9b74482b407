import { BootError } from "../errors.ts";
import type { GuestIdentity } from "./console.ts";
import type { GuestMessage } from "./console-words.ts";
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
 * Lets a restored guest go on, as a machine of its own: its name, its machine-id, its clock. Resolves when it has answered, and its
 * kernel has said that it has other random numbers now. The time travels in whole seconds, as a shell's programs know no others:
 * half a second off at most, and what the line takes on its way; so an answer that took long is followed by the time again.
 */
export async function goOnAs(
  process: QemuProcess,
  qmp: QmpClient,
  identity: GuestIdentity,
  options: WaitOptions,
): Promise<void> {
  const { console } = process;
  const sentMs: number[] = [];
  const now = () => Math.round((Date.now() + EXPECTED_WAY_MS) / 1000);
  const nextRequest = () => sentMs.push(performance.now()) - 1;
  let answers = 0;
  let isReseeded = false;
  let hasTime = false;
  // The console may tear a line apart: there it is asked again.
  const ask = () => {
    if (answers > 0 && !hasTime) console.giveTime(now(), nextRequest());
  };
  const accept = (message: GuestMessage) => {
    if (message.kind === "reseeded") isReseeded = true;
    const sent = message.kind === "identity" ? sentMs[message.request] : undefined;
    if (sent !== undefined) {
      answers += 1;
      hasTime ||= performance.now() - sent <= LONGEST_ROUND_TRIP_MS || answers >= MOST_REQUESTS;
      ask();
    }
    return isReseeded && hasTime;
  };
  const awaited = { word: "identity", accept, ask, askEveryMs: ASK_EVERY_MS };
  const waiting = hearGuest(process, qmp, awaited, options, null);
  console.giveIdentity(identity, now(), nextRequest());
  try {
    await Promise.all([waiting, process.whileAlive(qmp.execute("cont"))]);
  } catch (error) {
    if (!hasTime || isReseeded || !(error instanceof BootError)) throw error;
    const message =
      "The guest's kernel did not say that it has other random numbers than the machine it is a copy of.";
    throw process.bootError(message, { cause: error });
  }
}
