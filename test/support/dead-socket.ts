import { spawn } from "node:child_process";
import { once } from "node:events";

/** A socket at which nobody listens any more: who made it was killed. */
export async function leaveSocket(path: string): Promise<void> {
  const code = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
  const maker = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(maker.stdout, "data");
  maker.kill("SIGKILL");
  await once(maker, "exit");
}
