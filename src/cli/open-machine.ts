import type { Machine } from "./api.ts";
import type { Context } from "./command.ts";

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
    throw adviseInWordsOfTheShell(error, name);
  }
}

/** What the library advises is a call; a person types a command. */
function adviseInWordsOfTheShell(error: unknown, name: string): unknown {
  if (!(error instanceof Error && "remediation" in error)) return error;
  const [, verb] = /\bcall (start|stop|resume)\(\)/i.exec(String(error.remediation)) ?? [];
  return verb === undefined ? error : Object.assign(error, { remediation: `smolvm ${verb} ${name}` });
}
