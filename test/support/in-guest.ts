import type { SmolVM } from "../../src/index.ts";

/** How many processes of the guest were started as exactly this; zombies don't count. */
export async function countProcesses(vm: SmolVM, commandLine: string): Promise<number> {
  const { stdout } = await vm.run("ps -eo stat,args", { shell: "raw" });
  return stdout.split("\n").filter((line) => /^[^Z]\S* +(.*)$/.exec(line)?.[1] === commandLine).length;
}

/** Waits until a run has printed `text` on stdout. Its output can be iterated by nobody else then. */
export async function untilPrinted(
  run: ReturnType<SmolVM["run"]>,
  text: string,
): Promise<AsyncIterator<unknown>> {
  const chunks = run[Symbol.asyncIterator]();
  for (let printed = ""; !printed.includes(text); ) {
    const { value, done } = await chunks.next();
    if (done) throw new Error(`It ended without printing ${text}: ${printed}`);
    printed += value.text;
  }
  return chunks;
}

/** Ends the server's processes of all SSH connections, as a broken network would, and waits until this side has seen it. */
export async function cutConnections(vm: SmolVM): Promise<void> {
  // The listening one is the child of the first process.
  const sessions = "for pid in $(pgrep -x dropbear); do [ $(ps -o ppid= -p $pid) = 1 ] || echo $pid; done";
  await vm.run(`kill -9 $(${sessions})`).catch(() => {});
}
