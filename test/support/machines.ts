import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { SmolVM } from "../../src/index.ts";
import { machinePaths, statePaths } from "../../src/state/paths.ts";
import { generateName } from "../../src/util/names.ts";

export const TINY = { image: "tiny", memSizeMib: 256 } as const;

const LIBRARY = JSON.stringify(new URL("../../dist/index.js", import.meta.url).href);

/** A name of this test's own, by which it knows its machine's folder among others. */
export const fresh = () => ({ ...TINY, name: generateName() });

export const isLeft = ({ name }: { name: string }) => existsSync(machinePaths(statePaths(), name).folder);

export const isAlive = (pid: number) => existsSync(`/proc/${pid}`);

export async function pidOf(vm: SmolVM): Promise<number> {
  const { pid } = await vm.info();
  if (pid === null) throw new Error("the machine does not run");
  return pid;
}

/** A program of its own that uses the library; it gets `tell(value)` to print a line of JSON. */
export function startProgram(
  body: string,
  wrap: readonly string[] = [],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  const code = `import { SmolVM } from ${LIBRARY}; const tell = (v) => console.log(JSON.stringify(v)); ${body}`;
  const [file = "", ...args] = [...wrap, process.execPath, "--input-type=module", "-e", code];
  return spawn(file, args, { stdio: ["ignore", "pipe", "inherit"], env });
}

export async function firstLine(program: ChildProcess): Promise<unknown> {
  let text = "";
  for await (const chunk of program.stdout ?? []) {
    text += chunk;
    if (text.includes("\n")) return JSON.parse(text.slice(0, text.indexOf("\n")));
  }
  throw new Error(`the program ended without a word: ${text}`);
}
