import type { Accelerator } from "./description.ts";

/**
 * What makes emulation bearable and is not wanted elsewhere (kernel.org: admin-guide/kernel-parameters). Emulated processors have no side
 * channels to guard; the boot-time self-tests and the jitter measurement cost half a second and the guest has virtio-rng.
 * TCG caches translated code by virtual address: with address randomisation each exec would be translated again.
 */
const EMULATION_ARGS = [
  "norandmaps",
  "mitigations=off",
  "lsm=landlock,yama",
  "tsc=nowatchdog",
  "nowatchdog",
  "cryptomgr.notests",
  "initcall_blacklist=jent_mod_init",
];

/** The boot arguments as the kernel gets them under that accelerator. */
export function kernelCommandLine(base: string, accelerator: Accelerator): string {
  const given = base.split(/\s+/).filter((word) => word !== "");
  const added = accelerator === "tcg" ? EMULATION_ARGS.filter((word) => !given.includes(word)) : [];
  return [base.trim(), ...added].filter((part) => part !== "").join(" ");
}
