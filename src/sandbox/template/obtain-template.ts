import { statfs } from "node:fs/promises";
import { OperationAbortedError, OperationTimeoutError } from "../../errors.ts";
import { acquireLock } from "../../host/lock.ts";
import { isThere } from "../../host/whole-file.ts";
import { DamageError } from "../../state/damage.ts";
import { type StatePaths, templatePaths } from "../../state/paths.ts";
import {
  discardTemplate,
  ensureTemplatesFolder,
  findTemplate,
  type Template,
  touchTemplate,
} from "../../state/templates.ts";
import { blameFor, PATIENCE_MS } from "../boot/blame.ts";
import type { BootContext } from "../boot/boot-context.ts";
import { inTime, type TimedBounds } from "../boot/in-time.ts";
import type { Setup } from "../machine/boot-setup.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { makeTemplate, type TemplatePlan } from "./make-template.ts";
import { templateInputs, templateKey } from "./template-key.ts";
import { pruneTemplates } from "./templates.ts";

/** A shorter start than this has no time to make one first. */
const LEAST_START_MS = 20_000;
/** What a small machine writes into its memory and its disk until it is up, and as much again. */
const LEAST_FREE_BYTES = 256 * 1024 * 1024;
/** Where making one failed, it is not tried again at once. */
const PAUSE_MS = 5 * 60_000;
const failedAtMs = new Map<string, number>();

/** Why a machine is booted instead. */
interface NoTemplate {
  readonly whyCold: string;
}

/** The template for machines like this one, made where there is none. Where none can be had it says why, and nothing is thrown but an abort. */
export async function obtainTemplate(
  spec: MachineSpec,
  state: StatePaths,
  setup: Setup,
  context: BootContext,
  warn: (message: string) => void,
): Promise<Template | NoTemplate> {
  const inputs = templateInputs(spec, setup);
  const plan: TemplatePlan = { spec, state, setup, key: templateKey(inputs), inputs, warn };
  const halfMs = context.timeoutMs / 2;
  const ours = { ...context, timeoutMs: Math.min(halfMs, PATIENCE_MS) };
  // A machine for which none can be made needs time to boot.
  const making = { operation: "Making the template", timeoutMs: halfMs, sinceMs: performance.now() };
  try {
    const found = await findSound(plan, ours);
    if (found) return found;
    const obstacle = await findObstacle(plan, context);
    if (obstacle !== undefined) return { whyCold: `there is no template yet, and ${obstacle}` };
  } catch (error) {
    if (context.signal.aborted) throw error;
    const why = `the templates can't be used: ${(error as Error).message}`;
    warn(`"${spec.name}" is booted instead: ${why}`);
    return { whyCold: why };
  }
  return makeInTurn(plan, ours, { ...making, signal: context.signal });
}

/** One that is proved to be damaged is named and removed. Of one that can't be read at the moment nothing is known: that is thrown. */
async function findSound(
  { state, key, warn }: TemplatePlan,
  { signal, timeoutMs }: BootContext,
): Promise<Template | undefined> {
  try {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const found = await findTemplate(state, key, inTime);
    if (found) void touchTemplate(found).catch(() => {});
    return found;
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    warn(`The template ${key.slice(0, 16)} is damaged and is made again: ${error.message}.`);
    await discardTemplate(state, key);
    return undefined;
  }
}

async function findObstacle(
  { state, key }: TemplatePlan,
  { timeoutMs }: BootContext,
): Promise<string | undefined> {
  if (timeoutMs < LEAST_START_MS) return "no time to make one";
  const failed = failedAtMs.get(key);
  if (failed !== undefined && performance.now() - failed < PAUSE_MS)
    return "making one failed a short while ago";
  await ensureTemplatesFolder(state);
  const { bavail, bsize } = await statfs(state.templates);
  return bavail * bsize < LEAST_FREE_BYTES ? "too little space to make one" : undefined;
}

/** Only one process makes a template at a time; others wait, but not for ever, and take what it made. */
async function makeInTurn(
  plan: TemplatePlan,
  context: BootContext,
  making: TimedBounds,
): Promise<Template | NoTemplate> {
  const { state, key, warn } = plan;
  const operation = "Waiting for another process to make the template";
  const patience = AbortSignal.any([context.signal, AbortSignal.timeout(context.timeoutMs)]);
  let release = async () => {};
  try {
    const onWait = () => context.onProgress?.({ phase: "wait", message: operation });
    release = await acquireLock(templatePaths(state, key).lock, { operation, onWait, signal: patience });
    const found = await findSound(plan, context);
    if (found) return found;
    context.onProgress?.({
      phase: "wait",
      message: "Saving a template from which machines like this one start",
    });
    const made = await inTime(making, ({ signal }) => makeTemplate(plan, { ...context, signal }));
    failedAtMs.delete(key);
    if (await isThere(plan.setup.files.kernel)) return made;
    // A program that removes an image removes its templates after it: a template that comes later would stay without a use.
    await discardTemplate(state, key);
    return { whyCold: "its image was removed while the template was made" };
  } catch (error) {
    if (context.signal.aborted) throw error;
    if (patience.aborted && error instanceof OperationAbortedError)
      return { whyCold: "another process was still making the template" };
    // Who had little time, or a host that was short of something, says nothing of the next one.
    const isTooSlow = error instanceof OperationTimeoutError && context.timeoutMs >= PATIENCE_MS;
    if (isTooSlow || blameFor(error, context) !== "host") failedAtMs.set(key, performance.now());
    warn(`No template could be made: ${(error as Error).message}`);
    return { whyCold: `making the template failed: ${(error as Error).message}` };
  } finally {
    await release();
    void pruneTemplates(state).catch(() => {});
  }
}
