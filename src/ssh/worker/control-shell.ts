import { lineSplitter } from "../../util/line-splitter.ts";
import { parseKib } from "../protocol/guest-words.ts";
import type { SshChannel } from "../transport/channel.ts";

/** What the guest said of itself as its keeper started. */
export interface GuestFacts {
  /** cgroup v2 with `cgroup.kill` is there, and we may use it. */
  readonly cgroups: boolean;
  readonly isRoot: boolean;
  /** "bash", "dash", "sh" … */
  readonly loginShell: string;
  readonly memoryKib: number;
  readonly freeKib: number;
}

/** How it looks where nothing runs for the host. */
export interface Quiet {
  /** Something that any command left behind is alive. */
  readonly anyAlive: boolean;
  readonly freeKib: number;
}

/**
 * A command as the keeper knows it: the number of its cgroup, its first process (where there are no cgroups) and the
 * worker it is a child of. 0 where there is none.
 */
export interface Ward {
  readonly slot: number;
  readonly pid: number;
  readonly worker: number;
}

/**
 * A line that got lost, which a timed read of busybox can do, is sent once more, and again after twice the time: a guest that
 * is only slow has enough to do, and does nothing twice.
 */
const RESEND_MS = 1000;
const LONGEST_LINE = 4096;

/** The host's end of src/guest/keeper.sh. Every call rejects when the keeper is gone. */
export class Keeper {
  readonly #channel: SshChannel;
  readonly #waiting = new Map<number, { resolve(words: string[]): void; reject(error: Error): void }>();
  #lastId = 0;
  #isGone = false;
  /** Resolves when it has ended, for any reason. */
  readonly gone: Promise<void>;
  /** Rejects when the keeper ends before it has spoken. */
  readonly facts: Promise<GuestFacts>;

  constructor(channel: SshChannel) {
    this.#channel = channel;
    this.gone = channel.closed;
    this.facts = new Promise((resolve, reject) => {
      const onLine = lineSplitter(LONGEST_LINE, (line) =>
        this.#take(line.toString("latin1").trim(), resolve),
      );
      channel.setSink((stream, bytes) => {
        if (stream === "stdout") onLine(bytes);
        return true;
      });
      this.gone.then(() => {
        this.#isGone = true;
        const gone = new Error("the guest's keeper is gone");
        reject(gone);
        for (const { reject } of this.#waiting.values()) reject(gone);
        this.#waiting.clear();
      });
    });
    this.facts.catch(() => {});
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Resolves when everything that the guest had written before has been sent. */
  async sync(): Promise<void> {
    await this.#ask("sync");
  }

  /** Ends a command at once, and its worker after it. True while something of it is still alive. */
  async kill({ slot, pid, worker }: Ward): Promise<boolean> {
    return (await this.#ask("kill", slot, pid, worker || ""))[0] === "1";
  }

  /** Sends a signal ("TERM") to every process of a command. Its worker takes no other one. False: there is none yet. */
  async signal({ slot, pid, worker }: Ward, name: string): Promise<boolean> {
    return (await this.#ask("signal", slot, pid, name, worker || ""))[0] === "1";
  }

  /** Ends a worker that waits for the processes that its last command left running. */
  async dismiss(worker: number): Promise<void> {
    await this.#ask("dismiss", worker);
  }

  /** Has the guest end the command by itself in so many seconds, in case nobody else does. */
  async setDeadline({ slot, pid }: Ward, seconds: number): Promise<void> {
    await this.#ask("due", slot, pid, Math.ceil(seconds));
  }

  /** The command's cgroup may be used for another one. */
  async forgetDeadline({ slot }: Pick<Ward, "slot">): Promise<void> {
    await this.#ask("forget", slot);
  }

  async lookAround(): Promise<Quiet> {
    const [busy, free] = await this.#ask("quiet");
    return { anyAlive: busy !== "0", freeKib: parseKib(free) };
  }

  #ask(...words: (string | number)[]): Promise<string[]> {
    return new Promise((resolve, reject) => {
      if (this.#isGone) return reject(new Error("the guest's keeper is gone"));
      const id = ++this.#lastId;
      const line = Buffer.from(`${id} ${words.join(" ")}\n`);
      let resend: NodeJS.Timeout | undefined;
      const send = (nextMs: number) => {
        this.#channel.write(line).catch(() => {});
        resend = setTimeout(() => send(2 * nextMs), nextMs);
        resend.unref();
      };
      const settled = () => {
        clearTimeout(resend);
        this.#waiting.delete(id);
      };
      this.#waiting.set(id, {
        resolve(answer) {
          settled();
          resolve(answer);
        },
        reject(error) {
          settled();
          reject(error);
        },
      });
      send(RESEND_MS);
    });
  }

  #take(line: string, onFacts: (facts: GuestFacts) => void): void {
    const [first = "", ...words] = line.split(" ");
    if (first !== "keeper") {
      this.#waiting.get(Number(first))?.resolve(words);
      return;
    }
    const [cgroups, root, shell = "sh", memory, free] = words;
    onFacts({
      cgroups: cgroups === "1",
      isRoot: root === "1",
      loginShell: shell,
      memoryKib: parseKib(memory),
      freeKib: parseKib(free),
    });
  }
}
