import type { Context, Outcome } from "./command.ts";
import { describeFailure, type Failure, failureStatus, formatFailure } from "./failure.ts";
import { say } from "./say.ts";
import { formatNames } from "./text.ts";

/** What became of each of several names. */
export interface Tally<T> {
  readonly done: readonly T[];
  readonly failures: readonly (Failure & { readonly name: string })[];
}

/**
 * Does the same for each name, one after the other. Of several all are tried, and each failure is told at once; a single
 * one fails as any command does.
 */
export async function tryEach<T>(
  names: readonly string[],
  { io, json, signal, progress }: Context,
  act: (name: string) => Promise<T>,
): Promise<Tally<T>> {
  const different = [...new Set(names)];
  const done: T[] = [];
  const failures: Tally<T>["failures"][number][] = [];
  for (const name of different) {
    try {
      done.push(await act(name));
    } catch (error) {
      if (different.length === 1 || signal.aborted) throw error;
      const failure = describeFailure(error);
      failures.push({ name, ...failure });
      progress.clear();
      if (!json) say(io.stderr, formatFailure(failure));
    }
  }
  return { done, failures };
}

/** The first failure decides the status and is the document's `error`; what was done stands beside it. */
export function tallyOutcome({ failures }: Tally<unknown>, document: object, text: string): Outcome {
  const [first] = failures;
  if (!first) return { document, text };
  const { name: _name, ...error } = first;
  return { status: failureStatus(first.code), document: { error, failures, ...document }, text };
}

/** For commands whose result is no more than the names that it was done for. */
export async function doEach(
  names: readonly string[],
  context: Context,
  key: string,
  act: (name: string) => Promise<void>,
): Promise<Outcome> {
  const tally = await tryEach(names, context, async (name) => {
    await act(name);
    return name;
  });
  return tallyOutcome(tally, { [key]: tally.done }, formatNames(tally.done));
}
