import * as v from "valibot";
import { OperationTimeoutError } from "../errors.ts";
import { bounded } from "../util/bounded.ts";
import { tameWords } from "../util/tame.ts";
import type { GuestMessage } from "./console-words.ts";
import { ended } from "./output.ts";
import type { QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What is waited for, and how the guest is reminded of it. */
export interface Awaited {
  /** The guest's word for it. */
  readonly word: string;
  /** False where it is not the one, or not yet enough. */
  readonly accept: (message: GuestMessage) => boolean;
  /** Called every `askEveryMs`, because a line of the console can get lost. */
  readonly ask?: () => void;
  readonly askEveryMs?: number;
}

/** Longer than a boot takes: asking is for lines that got lost. */
const ASK_READY_EVERY_MS = 5_000;
/** Longer than the guest tries: a question that waits as the machine is saved is the first that its clones hear. */
const ASK_QUIET_EVERY_MS = 7_000;
const ASK_SPEECH_EVERY_MS = 1_000;

/** Waits until the guest has said this, now or before; BootError as soon as it is clear that it never will. */
export async function waitForGuest(
  process: QemuProcess,
  qmp: QmpClient,
  wanted: "ready" | "done",
  options: WaitOptions,
): Promise<void> {
  const { console } = process;
  const asking = { ask: () => console.askReady(), askEveryMs: ASK_READY_EVERY_MS };
  const accept = ({ kind }: GuestMessage) => kind === wanted;
  const waiting = hearGuest(
    process,
    qmp,
    { word: wanted, accept, ...(wanted === "ready" && asking) },
    options,
    console.lastMessage,
  );
  await waiting;
}

/** Asks the guest to come to rest, and waits until it has. */
export async function waitForQuiet(
  process: QemuProcess,
  qmp: QmpClient,
  staying: number,
  options: WaitOptions,
): Promise<void> {
  const ask = () => process.console.askQuiet(staying);
  await askFor(process, qmp, { word: "quiet", ask, askEveryMs: ASK_QUIET_EVERY_MS }, options);
}

/** Asks the guest to show what its kernel notices, and waits until it does. */
export async function waitForSpeech(
  process: QemuProcess,
  qmp: QmpClient,
  options: WaitOptions,
): Promise<void> {
  const ask = () => process.console.askToSpeak();
  await askFor(process, qmp, { word: "speaks", ask, askEveryMs: ASK_SPEECH_EVERY_MS }, options);
}

async function askFor(
  process: QemuProcess,
  qmp: QmpClient,
  question: { readonly word: GuestMessage["kind"]; readonly ask: () => void; readonly askEveryMs: number },
  options: WaitOptions,
): Promise<void> {
  const accept = ({ kind }: GuestMessage) => kind === question.word;
  const waiting = hearGuest(process, qmp, { ...question, accept }, options, null);
  question.ask();
  await waiting;
}

/** Hears the guest out, beginning with what it said before, until it says what is waited for. */
export async function hearGuest(
  process: QemuProcess,
  qmp: QmpClient,
  { word, accept, ask, askEveryMs }: Awaited,
  { timeoutMs, signal }: WaitOptions,
  saidBefore: GuestMessage | null,
): Promise<void> {
  const stops: (() => void)[] = [];
  const said = new Promise<void>((resolve, reject) => {
    const hear = (message: GuestMessage) => {
      if (accept(message)) resolve();
      if (message.kind === "failed")
        reject(process.bootError(`The guest could not start: ${ended(tameWords(message.reason))}`));
    };
    stops.push(process.console.onMessage(hear));
    stops.push(
      onInternalError(qmp, () =>
        reject(process.bootError("The accelerator gave up on the guest: QEMU's internal error.")),
      ),
    );
    if (saidBefore) hear(saidBefore);
  });
  const asking = ask && setInterval(ask, askEveryMs);
  try {
    await bounded(process.whileAlive(said), { operation: "Waiting for the guest", timeoutMs, signal });
  } catch (error) {
    if (!(error instanceof OperationTimeoutError)) throw error;
    const message = `The guest did not say "${word}" within ${timeoutMs / 1000} s.`;
    throw process.bootError(message, { cause: error, details: { timeoutMs } });
  } finally {
    clearInterval(asking);
    for (const stop of stops) stop();
  }
}

const StatusSchema = v.object({ status: v.string() });

/** KVM stops the processors, and QEMU lives on, when it meets what it can't execute: before the wait or during it. */
function onInternalError(qmp: QmpClient, tell: () => void): () => void {
  const check = () => {
    qmp.execute("query-status").then(
      (answer) => v.is(StatusSchema, answer) && answer.status === "internal-error" && tell(),
      () => {}, // QEMU has ended meanwhile, which is told elsewhere
    );
  };
  check();
  return qmp.onEvent(({ name }) => name === "STOP" && check());
}
