import { runTool } from "../../src/host/run-tool.ts";

/** The guardian of a guarded command. */
export async function parentOf(pid: number): Promise<number> {
  const parent = Number((await runTool("ps", ["-o", "ppid=", "-p", `${pid}`])).stdout);
  if (parent < 1) throw new Error(`process ${pid} has ended`); // a signal to 0 would go to this test's own group
  return parent;
}

/** The command lines of the living processes that ps selects. */
export async function processes(selector: string, id: number): Promise<string[]> {
  const { stdout } = await runTool("ps", ["-o", "stat=,args=", selector, `${id}`]);
  return stdout.split("\n").filter((line) => line !== "" && !line.startsWith("Z"));
}

/** The guardian's other child: the command itself looks like it until its program has started. */
export async function readerOf(guardian: number, command: number): Promise<number> {
  const { stdout } = await runTool("pgrep", ["-P", `${guardian}`, "-f", "guardian.sh"]);
  const [reader = Number.NaN] = stdout
    .trim()
    .split("\n")
    .map(Number)
    .filter((child) => child !== command);
  return reader;
}
