import type { CommandEntry } from "../command.ts";

/** Every command, in the order of the help. A new command is a file beside this one and a row here. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  run: {
    summary: "run a command in a fresh machine that is gone afterwards",
    load: async () => (await import("./run.ts")).run,
  },
  image: {
    summary: "build, list, inspect and remove images",
    load: async () => (await import("./image.ts")).image,
  },
  doctor: {
    summary: "check this host: QEMU, acceleration, images, disk space",
    load: async () => (await import("./doctor.ts")).doctor,
  },
};
