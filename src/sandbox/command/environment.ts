import { SmolVMError } from "../../errors.ts";
import { acquireLock } from "../../host/lock.ts";
import { checkEnvName, checkEnvSize, checkEnvVars } from "../../util/env-vars.ts";
import { checkOptionKeys, refuse } from "../../util/options.ts";
import { tameWords } from "../../util/tame.ts";
import { decodeVariables, encodeVariables } from "./environment-file.ts";
import { type CommandContext, Run } from "./run.ts";

export interface EnvironmentContext extends CommandContext {
  /** Held by the one that changes the machine's variables. Null: nobody else knows of the machine yet. */
  readonly environmentLock: string | null;
}

export interface SetEnvVarsOptions {
  /** True (default): other variables stay; false: these replace them all. */
  merge?: boolean;
}

/** Sets variables for every login shell from now on. Returns all names set afterwards, sorted. */
export async function setEnvVars(
  context: EnvironmentContext,
  vars: Record<string, string>,
  options: SetEnvVarsOptions = {},
): Promise<string[]> {
  const added = checkEnvVars(vars, "vars");
  checkOptionKeys(options, ["merge"], "setEnvVars()");
  const { merge = true } = options;
  if (typeof merge !== "boolean") throw refuse("merge", merge, "true or false");
  return await oneAtATime(context, async () => {
    const before = await read(context);
    const after = merge ? { ...before, ...added } : added;
    checkEnvSize(after, "vars, with those that are set,");
    const changes = Object.keys(added).length > 0 || (!merge && Object.keys(before).length > 0);
    if (changes) await write(context, after);
    return Object.keys(after).sort();
  });
}

export async function listEnvVars(context: CommandContext): Promise<Record<string, string>> {
  return await read(context);
}

/** Returns what was removed; names that weren't set are left out. */
export async function unsetEnvVars(
  context: EnvironmentContext,
  names: readonly string[],
): Promise<Record<string, string>> {
  if (!Array.isArray(names)) throw refuse("names", names, "an array of names");
  for (const name of names) checkEnvName(name, "names");
  return await oneAtATime(context, async () => {
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

/** All variables that Linux passes on, where each character is a quote, take less. */
const MOST_BYTES = 16 * 1024 * 1024;
const NO_FILE = 79;

/** What is no file may hold up who opens it, or never end. */
const READ_SCRIPT = `[ -e ${FILE} ] || exit 0; [ -f ${FILE} ] || exit ${NO_FILE}; head -c ${MOST_BYTES + 1} ${FILE}`;
const WRITE_SCRIPT = `mkdir -p ${FOLDER} && umask 077 && rm -rf ${TEMPORARY} && cat >${TEMPORARY} && mv -f ${TEMPORARY} ${FILE}`;
const REMOVE_SCRIPT = `rm -f ${FILE}`;

async function read(context: CommandContext): Promise<Record<string, string>> {
  const text = await inGuest(context, READ_SCRIPT, "");
  const variables = text.length > MOST_BYTES ? null : decodeVariables(text);
  if (variables) return variables;
  throw new SmolVMError("ENVIRONMENT", `${FILE} in machine "${context.vm.name}" holds more than variables.`, {
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
    maxOutputBytes: 2 * MOST_BYTES,
  });
  if (result.ok) return result.stdout;
  const { exitCode, stderr } = result;
  const [why, remediation] = whyUnusable(exitCode, stderr);
  throw new SmolVMError("ENVIRONMENT", `${FILE} in machine "${context.vm.name}" can't be used: ${why}`, {
    remediation,
    details: { exitCode, stderr },
  });
}

function whyUnusable(exitCode: number, stderr: string): readonly [why: string, remediation: string] {
  if (exitCode === NO_FILE) return ["it is no ordinary file.", `Run in the guest: rm -r ${FILE}`];
  if (/permission denied/i.test(stderr))
    return [tameWords(stderr), 'Variables are kept by root: create the machine with sshUser: "root".'];
  return [tameWords(stderr), `See in the guest what is in the way: ls -ld ${FOLDER}; df ${FOLDER}`];
}

/** Longer than another process's reading and writing can take. */
const WAIT_MS = 150_000;

/**
 * Reading, changing and writing is one step: one that does it with a machine, in this process or another, waits for the others.
 * Who only reads need not: the file is exchanged at once.
 */
async function oneAtATime<T>(
  { environmentLock, vm }: EnvironmentContext,
  step: () => Promise<T>,
): Promise<T> {
  if (environmentLock === null) return await step();
  const release = await acquireLock(environmentLock, {
    operation: `Waiting for another process to set variables in machine "${vm.name}"`,
    signal: AbortSignal.timeout(WAIT_MS),
  }).catch(asStateError);
  try {
    return await step();
  } finally {
    await release();
  }
}

function asStateError(cause: Error): never {
  if (cause instanceof SmolVMError) throw cause;
  throw new SmolVMError("STATE", `Variables can't be set: ${cause.message}`, {
    remediation: "Check that the machine still exists, and that the disk of the state folder has space.",
    cause,
  });
}
