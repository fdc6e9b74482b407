import { pauseMachine, resumeMachine } from "../lifecycle/pause.ts";
import { startMachine } from "../lifecycle/start.ts";
import { removeMachine, stopMachine } from "../lifecycle/stop.ts";
import type { Handle } from "../machine/handle.ts";
import { hostTrouble } from "../machine/host-trouble.ts";
import type { Machine } from "../machine/machine.ts";
import { bootedOf } from "../machine/machine.ts";
import { copyMachine } from "../snapshot/copy.ts";
import { snapshotMachine } from "../snapshot/snapshots.ts";
import { describeOwn } from "./describe-own.ts";
import { MachineServer } from "./server.ts";

/** Those of this process that others know of, by their ids. */
const held = new Map<string, Handle>();

/** The machine with that id, where this process holds it. */
export function findOwn(id: string): Handle | undefined {
  return held.get(id);
}

/** A machine that this process holds. */
export function ownMachine(machine: Machine): Handle {
  let listening: Promise<void> | null = null;
  /** A caller that is told that it is done may tell others, which see it then. */
  const told = async <T>(changing: Promise<T>): Promise<T> => {
    try {
      return await changing;
    } catch (error) {
      throw hostTrouble(error);
    } finally {
      await Promise.all([machine.records.settled(), listening]);
    }
  };
  const handle: Handle = {
    spec: machine.spec,
    state: machine.state,
    status: machine.status,
    logger: machine.surroundings.logger,
    get paths() {
      return machine.folder;
    },
    start: (options) => told(startMachine(machine, options)),
    stop: (options) => told(stopMachine(machine, options)),
    pause: () => told(pauseMachine(machine)),
    resume: () => told(resumeMachine(machine)),
    remove: () => told(removeMachine(machine)),
    describe: () => describeOwn(machine),
    settled: async () => machine.starting ?? undefined,
    reach(verb) {
      const { qemu, runner } = bootedOf(machine, verb);
      return { runner, sshPort: qemu.sshPort };
    },
    snapshot: (name, options) => told(snapshotMachine(machine, name, options)),
    copy: (verb, options) => told(copyMachine(machine, verb, options)),
    close: async () => {},
  };
  machine.status.onChange(() => {
    const { phase } = machine.status;
    if (phase === "starting") held.set(machine.spec.id, handle);
    if (phase === "created" || phase === "deleted") held.delete(machine.spec.id);
    if (phase !== "running" || listening !== null) return;
    listening = new MachineServer(machine)
      .listen()
      .catch((error) =>
        machine.surroundings.logger.warn?.(
          `Other processes can't use "${machine.spec.name}": ${error.message}`,
        ),
      );
  });
  return handle;
}
