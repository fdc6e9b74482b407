import { bounded } from "../../util/bounded.ts";
import { scriptsDigest } from "../protocol/guest-scripts.ts";
import type { SerialPorts } from "../transport/serial-channel.ts";
import type { Links } from "../worker/links.ts";
import { leaveWorker, type PortNames } from "./leave-shell.ts";
import type { EarlyShell, LeftShell } from "./parked-shell.ts";

/** A shell that waits in a machine that is about to be copied. */
export interface LentShell {
  /** What a copy that is made at this moment needs to know of it; null where it is of no use there. */
  asItIs(): (LeftShell & { readonly isFresh: boolean; readonly scripts: string }) | null;
  /** The copy is made: it ends here. */
  letGo(): void;
}

/** How long the copy waits for it. */
const PATIENCE_MS = 5_000;
const PORTS_MS = 2_000;

const START_MS = 2_000;

/** Has a shell ready for the copies of a machine, one at a time. */
export class ShellLender {
  readonly #links: Links;
  readonly #early: EarlyShell | null;
  #portsFree: Promise<void>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(links: Links, early: EarlyShell | null) {
    this.#links = links;
    this.#early = early;
    this.#portsFree = early ? early.portsFree : Promise.resolve();
  }

  /** Never rejects: a copy can do without. */
  async lend(openPorts: () => SerialPorts, names: PortNames): Promise<LentShell | null> {
    const early = this.#early;
    if (early?.untouched) return this.#lendUntouched(early);
    // The process that asked for the last one may have given up before it was there: only then is it known who holds the ports.
    const work = this.#last.then(() => this.#lendNew(openPorts, names)).catch(() => null);
    this.#last = work;
    return bounded(work, { operation: "Lending a shell", timeoutMs: PATIENCE_MS }).catch(() => {
      void work.then((tooLate) => tooLate?.letGo());
      return null;
    });
  }

  /** The one that this machine itself was saved with. */
  #lendUntouched(early: EarlyShell): LentShell {
    const isFresh = this.#watch();
    return {
      asItIs: () => early.untouched && { ...early.untouched, isFresh: isFresh(), scripts: scriptsDigest() },
      letGo: () => {},
    };
  }

  async #lendNew(openPorts: () => SerialPorts, names: PortNames): Promise<LentShell | null> {
    // One that was used has done its work: in a copy nobody would know that nothing runs there.
    const link = this.#early?.isOpen ? await this.#early.handOver() : this.#links.standing;
    if (!link) return null;
    await bounded(this.#portsFree, { operation: "Waiting for the ports", timeoutMs: PORTS_MS });
    const isFresh = this.#watch();
    const ports = openPorts();
    const left = await leaveWorker(link, ports, names);
    if (left === null) return null; // nobody has opened them
    this.#portsFree = ports.free;
    const { shell, worker } = left;
    const letGo = () => worker.quit();
    const waits = bounded(left.waits, { operation: "Starting a login shell", timeoutMs: START_MS });
    if (!(await waits.catch(() => false))) {
      letGo();
      return null;
    }
    return { asItIs: () => ({ ...shell, isFresh: isFresh(), scripts: scriptsDigest() }), letGo };
  }

  /** Whether from now on no command has run. */
  #watch(): () => boolean {
    const { activity } = this.#links;
    const { epoch, running } = activity;
    return () => running === 0 && activity.running === 0 && activity.epoch === epoch;
  }
}
