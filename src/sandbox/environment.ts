import { SmolVMError } from "../errors.ts";
import type { CommandRunner } from "../ssh/runner.ts";
import { checkEnvName, checkEnvVars } from "../util/env-vars.ts";
import { checkOptionKeys, refuse } from "../util/options.ts";
import { decodeVariables, encodeVariables } from "./environment-file.ts";
import { type CommandContext, Run } from "./run.ts";

export interface SetEnvVarsOptions {
  /** True (default): other variables stay; false: these replace them all. */
  merge?: boolean;
}

/** Sets variables for every login shell from now on. Returns all names set afterwards, sorted. */
export async function setEnvVars(
  context: CommandContext,
  vars: Record<string, string>,
  options: SetEnvVarsOptions = {},
): Promise<string[]> {
  const added = checkEnvVars(vars, "vars");
  checkOptionKeys(options, ["merge"], "setEnvVars()");
  const { merge = true } = options;
  if (typeof merge !== "boolean") throw refuse("merge", merge, "true or false");
  return await oneAtATime(context.runner, async () => {
    const before = await read(context);
    const after = merge ? { ...before, ...added } : added;
    const changes = Object.keys(added).length > 0 || (!merge && Object.keys(before).length > 0);
    if (changes) await write(context, after);
    return Object.keys(after).sort();
  });
}

export async function listEnvVars(context: CommandContext): Promise<Record<string, string>> {
  return await oneAtATime(context.runner, () => read(context));
}

/** Returns what was removed; names that weren't set are left out. */
export async function unsetEnvVars(
  context: CommandContext,
  names: readonly string[],
): Promise<Record<string, string>> {
  if (!Array.isArray(names)) throw refuse("names", names, "an array of names");
  for (const name of names) checkEnvName(name, "names");
  return await oneAtATime(context.runner, async () => {
    const before = Object.entries(await read(context));
    const removed = before.filter(([name]) => names.includes(name));
    if (removed.length > 0)
      await write(context, Object.fromEntries(before.filter(([name]) => !names.includes(name))));
    return Object.fromEntries(removed);
  });
}

/** Every login shell reads it with /etc/profile; only root can. */
const FOLDER = "/etc/profile.d";
const FILE = `${FOLDER}/smolvm_env.sh`;
/** Not of the form that a login shell reads. */
const TEMPORARY = `${FOLDER}/.smolvm_env.new`;

const READ_SCRIPT = `[ ! -e ${FILE} ] || cat ${FILE}`;
const WRITE_SCRIPT = `mkdir -p ${FOLDER} && umask 077 && cat >${TEMPORARY} && mv -f ${TEMPORARY} ${FILE}`;
const REMOVE_SCRIPT = `rm -f ${FILE}`;

async function read(context: CommandContext): Promise<Record<string, string>> {
  const text = await inGuest(context, READ_SCRIPT, "");
  const variables = decodeVariables(text);
  if (variables) return variables;
  throw new SmolVMError("ENVIRONMENT", `${FILE} in machine ${context.vmId} holds more than variables.`, {
    remediation: `Keep your own settings in another file of ${FOLDER}, and run in the guest: rm ${FILE}`,
  });
}

async function write(context: CommandContext, variables: Readonly<Record<string, string>>): Promise<void> {
  const isEmpty = Object.keys(variables).length === 0;
  await inGuest(context, isEmpty ? REMOVE_SCRIPT : WRITE_SCRIPT, isEmpty ? "" : encodeVariables(variables));
}

async function inGuest(context: CommandContext, script: string, stdin: string): Promise<string> {
  const result = await new Run(async () => context, script, {
    shell: "raw",
    stdin,
    timeout: 60,
    maxOutputBytes: 64 * 1024 * 1024,
  });
  if (result.ok) return result.stdout;
  throw new SmolVMError(
    "ENVIRONMENT",
    `${FILE} in machine ${context.vmId} can't be used: ${result.stderr.trim()}`,
    {
      remediation: 'Variables are kept by root: create the machine with sshUser: "root".',
      details: { exitCode: result.exitCode, stderr: result.stderr },
    },
  );
}

const lastOf = new WeakMap<CommandRunner, Promise<unknown>>();

/** Reading, changing and writing is one step: calls for one machine follow each other. */
async function oneAtATime<T>(runner: CommandRunner, step: () => Promise<T>): Promise<T> {
  const mine = (lastOf.get(runner) ?? Promise.resolve()).then(step, step);
  lastOf.set(
    runner,
    mine.catch(() => {}),
  );
  return await mine;
}
