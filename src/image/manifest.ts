export type Arch = "x86_64" | "aarch64";
