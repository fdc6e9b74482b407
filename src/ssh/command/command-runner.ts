import {
  CommandExecutionUnavailableError,
  OperationAbortedError,
  OperationTimeoutError,
} from "../../errors.ts";
import { bounded } from "../../util/bounded.ts";
import type { Named } from "../../util/names.ts";
import { Queue } from "../../util/queue.ts";
import { tameLine } from "../../util/tame.ts";
import { leaveShell, type PortNames } from "../parked/leave-shell.ts";
import { type LentShell, ShellLender } from "../parked/lend-shell.ts";
import { EarlyShell, type EarlyShellOptions, type LeftShell } from "../parked/parked-shell.ts";
import type { CommandSpec } from "../spec/command-spec.ts";
import type { Guest } from "../transport/keep-alive.ts";
import type { SerialPorts } from "../transport/serial-channel.ts";
import { ConnectError } from "../transport/ssh-connection.ts";
import type { SshTarget } from "../transport/ssh-target.ts";
import type { Link } from "../worker/link.ts";
import { Links } from "../worker/links.ts";
import { Command, type OutputObserver, type Surroundings } from "./command.ts";
import { START_AGAIN } from "./command-errors.ts";
import { StoppedError, Stopper } from "./stopper.ts";

export interface CommandRunnerOptions extends Partial<Guest> {
  readonly vm: Named;
  /** Asked again for each connection. What it throws is what a command is rejected with. */
  readonly target: () => Promise<SshTarget>;
  /** Resolves with the reason, a sentence without a full stop, when the machine's process is gone. */
  readonly died: Promise<string>;
  /** Null: the machine was not saved with a shell. */
  readonly early?: EarlyAccess | null;
}

/** A shell that a machine was saved with, where it waits, and the machine's new name. */
export type EarlyAccess = Pick<EarlyShellOptions, "left" | "isFresh" | "ports" | "hostname" | "endCommand">;

/** Runs commands in one machine, over one connection that is made when the first needs it. */
export interface CommandRunner {
  /** What a command needs of this machine. Rejects when the machine is gone. */
  surroundings(): Promise<Surroundings>;
  /** Resolves once an authenticated connection stands. OperationTimeoutError, OperationAbortedError, CommandExecutionUnavailableError. */
  waitConnected(options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void>;
  /** Connects ahead of time, in the background, for so long at most; says nothing where that fails. The next command takes what there is. */
  preconnect(forMs: number): void;
  /** Another process may run commands in this machine too, until what is given back is called: no shell is started ahead of time. */
  share(): () => void;
  /** For how long no command of this runner has run, or waited to run. */
  readonly idleMs: number;
  /** Closes the connection, where no command needs it; the next one makes another. */
  rest(): Promise<void>;
  /** Whether the guest answers over the connection, within that time. Changes nothing in the guest. */
  isResponsive(timeoutMs: number): Promise<boolean>;
  /** Leaves a shell in a machine that is to be saved; null where it can't be. */
  leaveShell(ports: SerialPorts, names: PortNames): Promise<LeftShell | null>;
  /**
   * A shell for the copies of a machine that is to be copied as it runs: one that waits already, or another one at ports that are
   * free. Null where there is no connection by which it could be had at once.
   */
  lendShell(ports: () => SerialPorts, names: PortNames): Promise<LentShell | null>;
  /** Ends every command and the connection. Twice is fine. */
  close(): Promise<void>;
}

/**
 * Starts a command. Its time runs from this call, though the machine may still have to start. Never throws: what went wrong is in the
 * command's result. `settled` resolves when the observer is done with all that it took.
 */
export function startCommand(
  runner: Promise<CommandRunner>,
  spec: CommandSpec,
  observe: OutputObserver,
  settled?: () => Promise<void>,
): Command {
  const around = runner.then((ready) => ready.surroundings());
  return new Command(spec, observe, around, settled);
}

/** Starting a shell, on a host that is very busy. */
const LEAVING_MS = 10_000;
/** How many commands run at once at most; the others wait their turn. Each takes a shell and a worker of the guest's memory. */
const MOST_AT_ONCE = 128;
const LEAST_AT_ONCE = 16;
const KIB_EACH = 4 * 1024;

export function createCommandRunner(options: CommandRunnerOptions): CommandRunner {
  const { vm } = options;
  const queue = new Queue(MOST_AT_ONCE);
  const links = new Links({
    target: options.target,
    isPaused: options.isPaused ?? (() => false),
    mend: options.mend ?? (() => {}),
    firstName: options.early?.left.name ?? null,
    onFacts: ({ memoryKib }) => {
      queue.capacity = Math.max(LEAST_AT_ONCE, Math.min(MOST_AT_ONCE, Math.floor(memoryKib / KIB_EACH)));
    },
  });
  const connect = () => links.get(new AbortController().signal);
  const early = options.early
    ? new EarlyShell({ ...options.early, activity: links.activity, connect })
    : null;
  const around = { vm, links, queue, early, commands: new Set<Command>() };
  const lender = new ShellLender(links, early);
  let whyEnded: string | null = null;
  /** What needs the connection besides commands. */
  let needs = 0;

  const needing = <T>(work: Promise<T>) => {
    needs++;
    return work.finally(() => needs--);
  };
  const idleMs = () => (around.commands.size + needs > 0 ? 0 : links.activity.idleMs);
  const endAll = (why: string) => {
    whyEnded ??= why;
    for (const command of around.commands) command.stop({ kind: "died", why: whyEnded });
  };
  void options.died.then((why) => {
    endAll(why);
    around.links.abandon();
  });

  return {
    async surroundings() {
      if (whyEnded === null) return around;
      throw new CommandExecutionUnavailableError(vm.id, `${whyEnded}.`, START_AGAIN, { vmName: vm.name });
    },
    async waitConnected({ timeoutMs, signal }) {
      const stopper = new Stopper(timeoutMs, signal ?? null);
      void options.died.then((why) => stopper.stop({ kind: "died", why }));
      try {
        await around.links.get(stopper.signal);
      } catch (error) {
        throw explain(error, stopper, vm, timeoutMs);
      } finally {
        stopper.dispose();
      }
    },
    share: () => links.activity.share(),
    get idleMs() {
      return idleMs();
    },
    async rest() {
      if (idleMs() > 0) await links.rest();
    },
    isResponsive: (timeoutMs) => needing(isResponsive(connect(), timeoutMs)),
    leaveShell: (ports, names) =>
      needing(
        bounded(
          connect().then((link) => leaveShell(link, ports, names)),
          { operation: "Leaving a shell in the guest", timeoutMs: LEAVING_MS },
        ),
      ),
    lendShell: (ports, names) => needing(lender.lend(ports, names)),
    preconnect: (forMs) => void links.prepare(AbortSignal.timeout(forMs)).catch(() => {}),
    async close() {
      endAll("the connection was closed from this side");
      await around.links.close();
    },
  };
}

async function isResponsive(connecting: Promise<Link>, timeoutMs: number): Promise<boolean> {
  const answer = async () => (await (await connecting).keeper()).sync();
  return await bounded(answer(), { operation: "Asking the guest for a sign of life", timeoutMs }).then(
    () => true,
    () => false,
  );
}

function explain(error: unknown, { reason }: Stopper, vm: Named, timeoutMs: number): unknown {
  const operation = `Waiting for the SSH server of machine "${vm.name}"`;
  if (error instanceof ConnectError) return unavailable(vm, `${error.message}.`, error.remediation, error);
  if (!(error instanceof StoppedError) || !reason) return error;
  if (reason.kind === "timeout") return new OperationTimeoutError(operation, timeoutMs / 1000);
  if (reason.kind === "died") return unavailable(vm, reason.why, START_AGAIN, error);
  return new OperationAbortedError(operation, undefined, {
    cause: reason.kind === "aborted" ? reason.cause : undefined,
  });
}

function unavailable(
  vm: Named,
  reason: string,
  remediation: string,
  cause: unknown,
): CommandExecutionUnavailableError {
  return new CommandExecutionUnavailableError(vm.id, tameLine(reason), remediation, {
    vmName: vm.name,
    cause,
  });
}
