import type { CommandSpec, Flag } from "../command.ts";
import { doEach } from "../each.ts";
import { withMachine } from "../open-machine.ts";
import { describeProgress } from "../progress.ts";
import { parseDuration } from "../values.ts";

const operands = [["<names...>", "the machines", "machine"]] as const;
const SEVERAL = "Of several machines all are tried; the first that fails decides the exit status.";

const timeoutFlag = (description: string): Flag => ({
  flags: "--timeout <duration>",
  description,
  parse: parseDuration,
});

interface TimeoutFlags {
  readonly timeout?: number | string;
}

export const start: CommandSpec<TimeoutFlags> = {
  summary: "start stopped machines, with the disk they had",
  operands,
  flags: [timeoutFlag("how long a boot may take: 30s, 5m, or seconds (default: 2m)")],
  examples: [["smolvm start web db", "one after the other; what runs already is left alone"]],
  notes: SEVERAL,
  act: (names, flags, context) =>
    doEach(names, context, "started", (name) =>
      withMachine(name, context, async (vm) => {
        const { signal, progress } = context;
        const onProgress: NonNullable<Parameters<typeof vm.start>[0]>["onProgress"] = (event) =>
          progress.show(describeProgress(event));
        await vm.start({ ...flags, signal, onProgress });
      }),
    ),
};

export const stop: CommandSpec<TimeoutFlags> = {
  summary: "shut machines down and keep their disks",
  operands,
  flags: [timeoutFlag("how long a guest may take before it is ended: 30s, or seconds (default: 10s)")],
  examples: [
    ["smolvm stop web", "its disk is there at the next start"],
    ["smolvm stop --timeout 1m $(smolvm ls -q)", "all machines that run; they get a minute to finish"],
  ],
  notes: SEVERAL,
  act: (names, flags, context) =>
    doEach(names, context, "stopped", (name) => withMachine(name, context, (vm) => vm.stop(flags))),
};

export const pause: CommandSpec = {
  summary: "let machines stand still, with all their memory",
  operands,
  examples: [["smolvm pause web", "its programs stand still until 'smolvm resume web'"]],
  notes: SEVERAL,
  act: (names, _flags, context) =>
    doEach(names, context, "paused", (name) => withMachine(name, context, (vm) => vm.pause())),
};

export const resume: CommandSpec = {
  summary: "let paused machines go on",
  operands,
  examples: [["smolvm resume web", "where it stood still"]],
  notes: SEVERAL,
  act: (names, _flags, context) =>
    doEach(names, context, "resumed", (name) => withMachine(name, context, (vm) => vm.resume())),
};

export const rm: CommandSpec<{ readonly force?: boolean }> = {
  summary: "remove machines, and their disks with them",
  operands,
  flags: [{ flags: "-f, --force", description: "also remove machines that run; they are ended first" }],
  examples: [
    ["smolvm stop web && smolvm rm web", "a machine that is stopped needs no -f"],
    ["smolvm rm -f $(smolvm ls -aq --filter label=job=42)", "all machines with a label, running or not"],
  ],
  notes: SEVERAL,
  act: (names, { force = false }, context) =>
    doEach(names, context, "removed", (name) =>
      withMachine(name, context, async (vm) => {
        if (!force && isUp(vm.status)) {
          throw new context.api.VMStateError(`Machine "${name}" is ${vm.status}, and was not removed.`, {
            remediation: `smolvm rm -f ${name}`,
          });
        }
        await vm.delete();
      }),
    ),
};

function isUp(status: string): boolean {
  return status !== "created" && status !== "stopped" && status !== "error";
}
