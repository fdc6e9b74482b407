import { once } from "node:events";
import { SmolVM, type SmolVMOptions } from "../../src/index.ts";
import { firstLine, startProgram } from "./machines.ts";
import { CLONE, named } from "./templates.ts";

/** A persistent machine of a test's own name. */
export const lasting = () => ({ ...named(), persistent: true });

/** The same with a disk. */
export const withDisk = () => ({ ...lasting(), ...CLONE, image: "debian" });

/** Lends a persistent machine that has been started, and deletes it whatever happens. */
export async function useLasting<T>(
  options: SmolVMOptions & { name: string },
  body: (vm: SmolVM) => Promise<T>,
): Promise<T> {
  const vm = new SmolVM(options);
  try {
    await vm.start();
    return await body(vm);
  } finally {
    await SmolVM.get(vm.name).then(
      (found) => found.delete(),
      () => {},
    );
    await vm[Symbol.asyncDispose]();
  }
}

/** What a program of its own comes to, which is given the library and `name`. */
export async function elsewhere(name: string, body: string): Promise<unknown> {
  const program = startProgram(`const name = ${JSON.stringify(name)}; ${body}`);
  const ended = once(program, "exit");
  const line = await firstLine(program);
  await ended;
  return line;
}
