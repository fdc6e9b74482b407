import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { HostError } from "../errors.ts";
import { installCommand } from "./install-command.ts";

/** The absolute path of a program on PATH; undefined where there is none. */
export async function findTool(
  name: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string | undefined> {
  const folders = (env.PATH ?? "").split(delimiter).filter((folder) => folder.startsWith("/"));
  for (const folder of folders) {
    const path = join(folder, name);
    if (await isProgram(path)) return path;
  }
  return undefined;
}

/** The same, but throws HostError with the exact install command for this host. */
export async function requireTool(name: string, env?: NodeJS.ProcessEnv): Promise<string> {
  return (await findTool(name, env)) ?? Promise.reject(await missingTool(name));
}

/** What to throw where a program is not there. */
export async function missingTool(name: string): Promise<HostError> {
  return new HostError(`${name} is not installed on this host.`, {
    remediation: (await installHint([name])) ?? `Install ${name} so that it is found on PATH.`,
    details: { tool: name },
  });
}

/** The one command that installs all of these on this host; undefined where we don't know its packages. */
export async function installHint(tools: readonly string[]): Promise<string | undefined> {
  return installCommand(tools, {
    platform: process.platform,
    osRelease: await readFile("/etc/os-release", "utf8").catch(() => ""),
    isRoot: process.getuid?.() === 0,
  });
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
