import type { SavedMachine } from "../../state/snapshots.ts";
import type { SmolVMOptions, VMConfig } from "../machine/options.ts";

const origins = new WeakMap<object, SavedMachine>();

/** The very options: a machine that is made with them goes on with what was saved. */
export function withOrigin(
  options: SmolVMOptions | VMConfig,
  origin: SavedMachine,
): SmolVMOptions | VMConfig {
  origins.set(options, origin);
  return options;
}

/** What a machine that is made with these options goes on with; null: nothing. */
export function originOf(options: SmolVMOptions | VMConfig): SavedMachine | null {
  return origins.get(options) ?? null;
}
