import type { Context, Flag } from "./command.ts";
import { withoutUndefined } from "./options.ts";
import { describeProgress } from "./progress.ts";
import {
  type Forward,
  parseCount,
  parseCpuShare,
  parseDuration,
  parseEnv,
  parseForward,
  parseLabel,
  parseMib,
} from "./values.ts";

/** The flags of every command from which a machine comes that has an image and a size of its own. */
export interface ShapeFlags {
  readonly image?: string;
  readonly memory?: number;
  readonly cpus?: number;
  readonly disk?: number;
  readonly network?: "open" | "off";
  readonly accelerator?: "auto" | "kvm" | "hvf" | "tcg";
  readonly template?: "auto" | "off";
}

/** The flags of every command from which a machine comes, be it new or restored. */
export interface LifeFlags {
  readonly env?: Readonly<Record<string, string>>;
  readonly label?: Readonly<Record<string, string>>;
  readonly port?: readonly Forward[];
  readonly ttl?: number | string;
  readonly idleTimeout?: number | string;
  readonly hostMemory?: number;
  readonly hostCpus?: number;
}

export const envFlag: Flag = {
  flags: "-e, --env <NAME[=VALUE]>",
  description: "an environment variable of the guest; NAME alone takes its value from here; may be repeated",
  parse: (text, previous) => parseEnv(text, previous),
};

export const nameFlag: Flag = {
  flags: "--name <name>",
  description: "what the machine is called (default: a readable name that is free)",
};

export const shapeFlags: readonly Flag[] = [
  {
    flags: "--image <name>",
    description: "what to boot: debian or tiny (default: debian)",
    names: "image",
  },
  { flags: "--memory <size>", description: "memory: 512, 512M, 2G (default: 512M)", parse: parseMib },
  { flags: "--cpus <count>", description: "virtual CPUs (default: 1)", parse: parseCount },
  {
    flags: "--disk <size>",
    description: "size of the disk, sparse: 4096, 4G (default: 4G); tiny has none",
    parse: parseMib,
  },
  { flags: "--network <mode>", description: "open or off (default: open)", choices: ["open", "off"] },
  {
    flags: "--accelerator <kind>",
    description: "how to run the guest's code (default: auto, the fastest that works)",
    choices: ["auto", "kvm", "hvf", "tcg"],
  },
  {
    flags: "--template <use>",
    description: "off: boot cold; auto: start from a memory snapshot where there is one (default: auto)",
    choices: ["auto", "off"],
  },
];

export const lifeFlags: readonly Flag[] = [
  envFlag,
  {
    flags: "--label <key=value>",
    description: "a label, by which `smolvm ls --filter` finds it; may be repeated",
    parse: parseLabel,
  },
  {
    flags: "--port <[host:]guest>",
    description: "reach a port of the guest at 127.0.0.1: 8080:80, or 80 for a free one; may be repeated",
    parse: parseForward,
  },
  {
    flags: "--ttl <duration>",
    description:
      "how long it may run after each start: 30m, 8h; then it is stopped, and one of 'run' is removed (default: no end)",
    parse: parseDuration,
  },
  {
    flags: "--idle-timeout <duration>",
    description:
      "the same for how long it may run unused, without a connection or a command: 30m (default: no end)",
    parse: parseDuration,
  },
  {
    flags: "--host-memory <size>",
    description: "the most memory that its QEMU may take of this host: 1G (default: no limit)",
    parse: parseMib,
  },
  {
    flags: "--host-cpus <count>",
    description: "how many of this host's processors it may keep busy: 0.5, 2 (default: no limit)",
    parse: parseCpuShare,
  },
];

/** The library's options for what those flags say. */
export function shapeOptions({ image, memory, cpus, disk, network, accelerator, template }: ShapeFlags) {
  const size = { memSizeMib: memory, vcpuCount: cpus, diskSizeMib: disk };
  return withoutUndefined({ image, ...size, network, accelerator, template });
}

export function lifeOptions(flags: LifeFlags, { signal, progress }: Context) {
  const { env, label, port, ttl, idleTimeout } = flags;
  const limits = withoutUndefined({ memoryMib: flags.hostMemory, cpus: flags.hostCpus });
  const hostLimits = Object.keys(limits).length > 0 ? limits : undefined;
  return {
    ...withoutUndefined({ env, labels: label, ports: port, ttl, idleTimeout, hostLimits }),
    signal,
    onProgress: (event: Parameters<typeof describeProgress>[0]) => progress.show(describeProgress(event)),
  };
}
