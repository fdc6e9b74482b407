import type { Machine } from "./api.ts";
import type { Context } from "./command.ts";

/** What a person types where the library's own advice is a call. */
const REMEDIES: Readonly<Partial<Record<Machine["status"], string>>> = {
  created: "start",
  stopped: "start",
  error: "start",
  paused: "resume",
};

/** Finds the machine, does `body` with it and closes the connections; the machine stays. */
export async function withMachine<T>(
  name: string,
  { api }: Context,
  body: (vm: Machine) => Promise<T>,
): Promise<T> {
  await using vm = await api.SmolVM.get(name);
  try {
    return await body(vm);
  } catch (error) {
    const remedy = REMEDIES[vm.status];
    if (!(error instanceof api.VMStateError) || remedy === undefined) throw error;
    if (error.remediation?.startsWith("smolvm ")) throw error;
    throw new api.VMStateError(error.message, { remediation: `smolvm ${remedy} ${vm.name}`, cause: error });
  }
}
