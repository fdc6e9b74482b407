import type { Accelerator } from "./description.ts";

/**
 * What makes emulation bearable and is not wanted elsewhere. TCG caches translated code by virtual address:
 * with address randomisation each exec would be translated anew (a shell over SSH: 57 ms instead of 15).
 */
const EMULATION_ARGS = ["norandmaps"];

/** The boot arguments as the kernel gets them under that accelerator. */
export function kernelCommandLine(base: string, accelerator: Accelerator): string {
  const given = base.split(/\s+/).filter((word) => word !== "");
  const added = accelerator === "tcg" ? EMULATION_ARGS.filter((word) => !given.includes(word)) : [];
  return [base.trim(), ...added].filter((part) => part !== "").join(" ");
}
