import type { Context, Flag } from "./command.ts";
import { describeProgress } from "./progress.ts";
import { parseCount, parseEnv, parseMib } from "./values.ts";

/** The flags of every command that makes a machine. */
export interface MachineFlags {
  readonly image?: string;
  readonly memory?: number;
  readonly cpus?: number;
  readonly disk?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly network?: "open" | "off";
  readonly accelerator?: "auto" | "kvm" | "hvf" | "tcg";
  readonly template?: "auto" | "off";
}

/** Defaults are the library's: a flag that is not given is not passed on. */
export const machineFlags: readonly Flag[] = [
  {
    flags: "--image <name>",
    description: "what to boot: debian, tiny, or an image of yours (default: debian)",
  },
  { flags: "--memory <size>", description: "memory: 512, 512M, 2G (default: 512M)", parse: parseMib },
  { flags: "--cpus <count>", description: "virtual CPUs (default: 1)", parse: parseCount },
  {
    flags: "--disk <size>",
    description: "size of the disk, sparse: 4096, 4G (default: 4G)",
    parse: parseMib,
  },
  {
    flags: "-e, --env <NAME[=VALUE]>",
    description:
      "an environment variable of the guest; NAME alone takes its value from here; may be repeated",
    parse: (text, previous) => parseEnv(text, previous),
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

/** The library's options for what the flags say. */
export function machineOptions(flags: MachineFlags, { signal, progress }: Context) {
  const given = {
    image: flags.image,
    memSizeMib: flags.memory,
    vcpuCount: flags.cpus,
    diskSizeMib: flags.disk,
    env: flags.env,
    network: flags.network,
    accelerator: flags.accelerator,
    template: flags.template,
  };
  return {
    ...withoutUndefined(given),
    signal,
    onProgress: (event: Parameters<typeof describeProgress>[0]) => progress.show(describeProgress(event)),
  };
}

function withoutUndefined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof withoutUndefined<T>
  >;
}
