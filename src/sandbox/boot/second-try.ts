import { BootError } from "../../errors.ts";
import type { Setup } from "../machine/boot-setup.ts";

/**
 * Under emulation about one guest in some hundreds was seen to panic as it began, and the next one not (QEMU 7.2, a busy host): such a
 * start is tried once more. `beforeAgain` removes what the first one left.
 */
export async function withSecondTry<T>(
  { choice }: Setup,
  start: () => Promise<T>,
  beforeAgain: (error: BootError) => Promise<void> | void,
): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (choice.accelerator !== "tcg" || !hasPanicked(error)) throw error;
    await beforeAgain(error);
    return await start();
  }
}

export function hasPanicked(error: unknown): error is BootError {
  return error instanceof BootError && error.consoleTail.includes("Kernel panic");
}
