import { setTimeout as sleep } from "node:timers/promises";
import type { Keeper } from "./control-shell.ts";
import type { GuestProcess } from "./guest-process.ts";
import type { Slots } from "./slots.ts";

/** At most between two looks whether a command is dead. */
const LONGEST_PAUSE_MS = 250;

/** What is needed of a connection. */
interface Home {
  /** Rejects where there can be none. */
  keeper(): Promise<Keeper>;
  readonly isOpen: boolean;
}

/** The ways in which one connection's commands are ended, all of them by its keeper. */
export class Endings {
  readonly #home: Home;
  readonly #slots: Slots;
  /** Deadlines that the keeper may hold, by the slot they are for. */
  readonly #deadlines = new Map<number, Promise<void>>();

  constructor(home: Home, slots: Slots) {
    this.#home = home;
    this.#slots = slots;
  }

  /** Kills all that a command started. Resolves when it is over and nothing of it is alive; never rejects. */
  async kill(process: GuestProcess): Promise<void> {
    if (process.isOver) return;
    process.taint();
    await this.killRest(process);
  }

  /**
   * As `kill`, though it may be over. As long as it has not begun there is nobody to kill, and it would run all the same:
   * so it is asked again until it is over.
   */
  async killRest(process: GuestProcess): Promise<void> {
    await this.#insist(process, async (keeper) => !(await keeper.kill(process.ward)) && process.isOver);
  }

  /** Sends a signal ("TERM") to every process of a command, as soon as it has one. Never rejects. */
  async signal(process: GuestProcess, name: string): Promise<void> {
    if (process.isOver) return;
    process.taint();
    await this.#insist(
      process,
      async (keeper) => process.isOver || (process.isAlone && (await keeper.signal(process.ward, name))),
    );
  }

  /** Has the guest end the command by itself in so many seconds. */
  async setDeadline(process: GuestProcess, seconds: number): Promise<void> {
    if (process.isOver) return;
    process.noteDeadline();
    const set = this.#home.keeper().then((keeper) => keeper.setDeadline(process.ward, seconds));
    this.#deadlines.set(process.ward.slot, set);
    await set;
  }

  /** The guest must not end the next command by the deadline of the last one. Rejects where the keeper is gone. */
  async forgetDeadline(slot: number): Promise<void> {
    const set = this.#deadlines.get(slot);
    if (!set) return;
    await set.catch(() => {}); // it may be on its way
    await (await this.#home.keeper()).forgetDeadline({ slot });
    if (this.#deadlines.get(slot) === set) this.#deadlines.delete(slot);
  }

  /** Asks the keeper until `isDone`. A keeper that was killed has a successor. */
  async #insist(process: GuestProcess, isDone: (keeper: Keeper) => Promise<boolean>): Promise<void> {
    const work = async () => {
      await process.ready;
      for (let pauseMs = 2; this.#home.isOpen; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
        const asked = this.#home.keeper().then(isDone);
        if (await asked.catch(() => false)) return;
        const pause = sleep(pauseMs, undefined, { ref: false });
        await (process.isOver ? pause : Promise.race([pause, process.ended]));
      }
    };
    await this.#slots.holdFor(
      process.ward.slot,
      work().catch(() => {}),
    );
  }
}
