/** The part of the library that the command line uses: index.ts, and nothing below it. */
export type Api = Pick<
  typeof import("../index.ts"),
  | "SmolVM"
  | "VMStateError"
  | "doctor"
  | "prune"
  | "sshConfigInclude"
  | "buildImage"
  | "listImages"
  | "inspectImage"
  | "deleteImage"
>;

/** A machine, and what is known of one. */
export type Machine = Awaited<ReturnType<Api["SmolVM"]["get"]>>;
export type MachineInfo = Awaited<ReturnType<Machine["info"]>>;
