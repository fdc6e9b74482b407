import type { CommandEntry } from "../command.ts";

/** Every command, in the order of the help. A new command is a file beside this one and a row here. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  run: {
    summary: "run a command in a fresh machine that is gone afterwards",
    load: async () => (await import("./run.ts")).run,
  },
  create: {
    summary: "make a machine that stays, and start it",
    load: async () => (await import("./create.ts")).create,
  },
  ls: {
    summary: "list machines",
    load: async () => (await import("./ls.ts")).ls,
  },
  inspect: {
    summary: "show all that is known of machines",
    load: async () => (await import("./inspect.ts")).inspect,
  },
  exec: {
    summary: "run a command in a machine that runs",
    load: async () => (await import("./exec.ts")).exec,
  },
  shell: {
    summary: "open a shell in a machine that runs",
    load: async () => (await import("./exec.ts")).shell,
  },
  env: {
    summary: "list, get, set and unset the environment variables of a machine",
    load: async () => (await import("./env.ts")).env,
  },
  logs: {
    summary: "show what a machine's console or QEMU said",
    load: async () => (await import("./logs.ts")).logs,
  },
  start: {
    summary: "start stopped machines, with the disk they had",
    load: async () => (await import("./power.ts")).start,
  },
  stop: {
    summary: "shut machines down and keep their disks",
    load: async () => (await import("./power.ts")).stop,
  },
  pause: {
    summary: "let machines stand still, with all their memory",
    load: async () => (await import("./power.ts")).pause,
  },
  resume: {
    summary: "let paused machines go on",
    load: async () => (await import("./power.ts")).resume,
  },
  rm: {
    summary: "remove machines, and their disks with them",
    load: async () => (await import("./power.ts")).rm,
  },
  snapshot: {
    summary: "save running machines; list and remove what was saved",
    load: async () => (await import("./snapshot.ts")).snapshot,
  },
  restore: {
    summary: "make a machine that goes on where a snapshot was taken",
    load: async () => (await import("./copies.ts")).restore,
  },
  fork: {
    summary: "make running copies of a running machine, which goes on",
    load: async () => (await import("./copies.ts")).fork,
  },
  image: {
    summary: "build, list, inspect and remove images",
    load: async () => (await import("./image.ts")).image,
  },
  "ssh-config": {
    summary: "show how plain ssh, scp, rsync and editors reach machines by name",
    load: async () => (await import("./ssh-config.ts")).sshConfig,
  },
  doctor: {
    summary: "check this host: QEMU, acceleration, images, disk space",
    load: async () => (await import("./doctor.ts")).doctor,
  },
  prune: {
    summary: "remove what nobody needs any more",
    load: async () => (await import("./prune.ts")).prune,
  },
  completion: {
    summary: "print a script with which a shell completes smolvm's commands and names",
    load: async () => (await import("./completion.ts")).completion,
  },
};
