import type { Architecture } from "../../util/architecture.ts";

/** Boot arguments with which an image starts its SSH server. Quiet, so that no kernel message gets into its ready line on the console. */
export const SSH_BOOT_ARGS = "console=ttyS0 quiet loglevel=4 reboot=t panic=-1 root=/dev/vda rw init=/init";

/** The kernel command line of the project's own images. */
export function imageBootArgs(arch: Architecture, hasDisk: boolean): string {
  const console = arch === "x86_64" ? "ttyS0" : "ttyAMA0";
  const root = hasDisk ? "root=/dev/vda rw " : "";
  return `console=${console} quiet loglevel=4 reboot=t panic=-1 ${root}init=/init`;
}

/** Whether a machine booted with these arguments is set up by the project's init, and so has an SSH server. */
export function startsSsh(bootArgs: string): boolean {
  return bootArgs.split(/\s+/).includes("init=/init");
}
