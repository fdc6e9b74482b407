/** The guest's processor architecture, by QEMU's name. */
export type Architecture = "x86_64" | "aarch64";
