import { type CommandRunner, createCommandRunner } from "../../ssh/command/command-runner.ts";
import { obtainClientKey, parseHostKey } from "../../ssh/openssh/keys.ts";
import type { Guest } from "../../ssh/transport/keep-alive.ts";
import type { MachineRecord } from "../../state/machine-record.ts";
import type { StatePaths } from "../../state/paths.ts";
import type { Reached } from "../machine/handle.ts";
import { throwHostTrouble } from "../machine/host-trouble.ts";
import type { MachineSpec } from "../machine/spec.ts";

type Boot = NonNullable<MachineRecord["boot"]>;

interface Access {
  readonly boot: Boot;
  readonly runner: CommandRunner | null;
  readonly die: (reason: string) => void;
}

/** A connection that no command needs is closed several times as soon as it would count as use of the machine. */
const RESTS = 4;

/** This process's own way into the guest of a machine that another process holds: one for each boot of it. */
export class GuestAccess {
  readonly #spec: MachineSpec;
  readonly #state: StatePaths;
  readonly #guest: Guest;
  #access: Access | null = null;
  #isShared = false;
  #unshare = () => {};
  #resting: NodeJS.Timeout | null = null;

  constructor(spec: MachineSpec, state: StatePaths, guest: Guest) {
    this.#spec = spec;
    this.#state = state;
    this.#guest = guest;
  }

  /** Null where the machine doesn't run. */
  get reached(): Reached | null {
    return this.#access && { runner: this.#access.runner, sshPort: this.#access.boot.sshPort };
  }

  /** The machine runs by this boot now, or, for the reason given, by none. */
  follow(boot: MachineRecord["boot"], reason: string): void {
    if (boot && this.#access && isSameBoot(this.#access.boot, boot)) return;
    if (this.#access) this.#end(reason || "the machine was stopped");
    if (boot === null) return;
    let die = (_reason: string) => {};
    const died = new Promise<string>((resolve) => {
      die = resolve;
    });
    this.#access = { boot, runner: this.#createRunner(boot, died), die };
    this.share(this.#isShared);
    this.#restWhenIdle();
  }

  /** Whether another process may run commands too. */
  share(isShared: boolean): void {
    this.#isShared = isShared;
    this.#unshare();
    this.#unshare = (isShared && this.#access?.runner?.share()) || (() => {});
  }

  /** Ends the commands of this process, and its connection; the next record that is followed makes another. */
  async close(): Promise<void> {
    if (this.#resting) clearInterval(this.#resting);
    const runner = this.#access?.runner;
    this.#access = null;
    await runner?.close();
  }

  #end(reason: string): void {
    const { runner, die } = this.#access as Access;
    this.#access = null;
    die(reason.replace(/\.$/, ""));
    if (this.#resting) clearInterval(this.#resting);
    // After those who wait have heard why.
    void Promise.resolve().then(() => runner?.close());
  }

  #createRunner({ sshPort, hostKey, report }: Boot, died: Promise<string>): CommandRunner | null {
    if (sshPort === null || hostKey === null) return null;
    const { sshUser, sshKeyPath } = this.#spec;
    return createCommandRunner({
      vm: this.#spec,
      died,
      ...this.#guest,
      early: null,
      target: async () => {
        const key = await obtainClientKey(this.#state, sshKeyPath).catch(throwHostTrouble);
        return {
          host: "127.0.0.1",
          port: sshPort,
          user: sshUser,
          privateKey: key.privateKey,
          hostKey: parseHostKey(hostKey).publicBlob,
          emulated: report.accelerator === "tcg",
        };
      },
    });
  }

  #restWhenIdle(): void {
    const runner = this.#access?.runner;
    const { idleTimeoutMs } = this.#spec;
    if (!runner || idleTimeoutMs === null) return;
    const restMs = Math.max(25, idleTimeoutMs / RESTS);
    this.#resting = setInterval(() => {
      if (runner.idleMs >= restMs) void runner.rest();
    }, restMs);
    this.#resting.unref();
  }
}

/** When a process started can't be read at every moment: "". */
function isSameBoot(one: Boot, other: Boot): boolean {
  if (one.qemu.pid !== other.qemu.pid || one.report.startedAt !== other.report.startedAt) return false;
  const starts = [one.qemu.startedAt, other.qemu.startedAt];
  return starts.includes("") || starts[0] === starts[1];
}
