import { copyMachine } from "./copy.ts";
import { describeOwn } from "./describe-own.ts";
import type { Handle } from "./handle.ts";
import type { Machine } from "./machine.ts";
import { bootedOf, pauseMachine, resumeMachine } from "./pause.ts";
import { MachineServer } from "./remote/server.ts";
import { snapshotMachine } from "./snapshots.ts";
import { startMachine } from "./start.ts";
import { removeMachine, stopMachine } from "./stop.ts";

/** Those of this process that others know of, by their ids. */
const held = new Map<string, Handle>();

/** The machine with that id, where this process holds it. */
export function findOwn(id: string): Handle | undefined {
  return held.get(id);
}

/** A machine that this process holds. */
export function ownMachine(machine: Machine): Handle {
  const handle: Handle = {
    spec: machine.spec,
    state: machine.state,
    status: machine.status,
    logger: machine.surroundings.logger,
    get paths() {
      return machine.folder;
    },
    async start(options) {
      await startMachine(machine, options);
      // Who hears from this program that the machine is up is to find it so.
      await Promise.all([machine.records.settled(), listening]);
    },
    stop: (options) => stopMachine(machine, options),
    pause: () => pauseMachine(machine),
    resume: () => resumeMachine(machine),
    remove: () => removeMachine(machine),
    describe: () => describeOwn(machine),
    settled: async () => machine.starting ?? undefined,
    reach(verb) {
      const { qemu, runner } = bootedOf(machine, verb);
      return { runner, sshPort: qemu.sshPort };
    },
    snapshot: (name, options) => snapshotMachine(machine, name, options),
    copy: (verb, options) => copyMachine(machine, verb, options),
    close: async () => {},
  };
  let listening: Promise<void> | null = null;
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
