import { type CommandRunner, createCommandRunner } from "../../src/ssh/command/command-runner.ts";
import type { Named } from "../../src/util/names.ts";
import { startSshGuest } from "./ssh-guest.ts";

/** A guest's SSH server in this process, and what runs commands in it. */
export interface GuestRunner {
  readonly context: () => Promise<{ readonly runner: CommandRunner; readonly vm: Named }>;
  close(): Promise<void>;
}

export async function startGuestRunner(): Promise<GuestRunner> {
  const guest = await startSshGuest();
  const vm = { id: "vm-test", name: "test" };
  const died = new Promise<string>(() => {});
  const runner = createCommandRunner({ vm, target: async () => guest.target, died });
  const close = async () => {
    await runner.close();
    await guest.close();
  };
  return { context: async () => ({ runner, vm }), close };
}
