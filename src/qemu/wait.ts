import * as v from "valibot";
import { OperationTimeoutError } from "../errors.ts";
import { bounded } from "../util/bounded.ts";
import type { GuestMessage } from "./console.ts";
import { ended } from "./output.ts";
import type { QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Waits until the guest has said this; BootError as soon as it is clear that it never will. */
export async function waitForGuest(
  process: QemuProcess,
  qmp: QmpClient,
  wanted: "ready" | "done",
  { timeoutMs, signal }: WaitOptions,
): Promise<void> {
  const stops: (() => void)[] = [];
  const said = new Promise<void>((resolve, reject) => {
    const hear = (message: GuestMessage) => {
      if (message.kind === wanted) resolve();
      if (message.kind === "failed")
        reject(process.bootError(`The guest could not start: ${ended(message.reason)}`));
    };
    stops.push(process.console.onMessage(hear));
    stops.push(
      onInternalError(qmp, () =>
        reject(process.bootError("The accelerator gave up on the guest: QEMU's internal error.")),
      ),
    );
    if (process.console.lastMessage) hear(process.console.lastMessage);
  });
  try {
    await bounded(process.whileAlive(said), { operation: "Booting the guest", timeoutMs, signal });
  } catch (error) {
    if (!(error instanceof OperationTimeoutError)) throw error;
    const message = `The guest did not say "${wanted}" within ${timeoutMs / 1000} s.`;
    throw process.bootError(message, { cause: error, details: { timeoutMs } });
  } finally {
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
