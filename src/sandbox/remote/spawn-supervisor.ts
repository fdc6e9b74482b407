import { fileURLToPath, pathToFileURL } from "node:url";
import { type DetachedProcess, spawnDetached } from "../../host/detached-process.ts";
import { backgroundVariables } from "../../host/environment.ts";
import { requirePackageFile } from "../../host/package-file.ts";
import { turnOver } from "../../state/bounded-log.ts";
import type { MachinePaths, StatePaths } from "../../state/paths.ts";

const HERE = fileURLToPath(import.meta.url);
/** From its sources, which Node 20 can't run, the library uses what was built of them. */
const PROGRAM = fileURLToPath(new URL("../holder/supervisor-main.js", import.meta.url));
const MAIN = HERE.endsWith(".ts") ? PROGRAM.replace("/src/sandbox/", "/dist/sandbox/") : PROGRAM;

/** Starts the process that holds a persistent machine from now on, and gives the way to it. HostError. */
export async function spawnSupervisor(
  state: StatePaths,
  name: string,
  { logs }: MachinePaths,
): Promise<DetachedProcess> {
  await requirePackageFile(pathToFileURL(MAIN)); // Node would say so in the log alone
  turnOver(logs.supervisor);
  return spawnDetached([process.execPath, MAIN, name], {
    env: { ...backgroundVariables(process.env, "SMOLVM_"), SMOLVM_HOME: state.home },
    outputPath: logs.supervisor.now,
  });
}
