import * as v from "valibot";
import { MOST_RECORD_BYTES, readText } from "../host/read-file.ts";
import { writeCache } from "../host/whole-file.ts";

/** What a trial is about: another of any of these may behave differently. */
export interface TrialKey {
  readonly accelerator: string;
  readonly bootId: string;
  readonly qemu: string;
  /** Digest of the guest's kernel. */
  readonly kernel: string;
}

/** What a trial showed. */
export interface Verdict {
  readonly works: boolean;
  readonly reason: string;
}

const EntrySchema = v.object({
  accelerator: v.string(),
  bootId: v.string(),
  qemu: v.string(),
  kernel: v.string(),
  works: v.boolean(),
  reason: v.string(),
});

type Entry = TrialKey & Verdict;

export async function recallVerdict(path: string, key: TrialKey): Promise<Verdict | undefined> {
  const entry = (await readEntries(path)).find((each) => isSameTrial(each, key));
  return entry && { works: entry.works, reason: entry.reason };
}

/** Keeps a verdict; those of earlier starts of the host are dropped. */
export async function keepVerdict(path: string, key: TrialKey, verdict: Verdict): Promise<void> {
  const others = (await readEntries(path)).filter(
    (each) => each.bootId === key.bootId && !isSameTrial(each, key),
  );
  await writeCache(path, JSON.stringify([...others, { ...key, ...verdict }]));
}

/** A damaged file holds no verdicts: a trial is cheap. */
async function readEntries(path: string): Promise<readonly Entry[]> {
  try {
    return v.parse(v.array(EntrySchema), JSON.parse(await readText(path, MOST_RECORD_BYTES)));
  } catch {
    return [];
  }
}

function isSameTrial(a: TrialKey, b: TrialKey): boolean {
  return (
    a.accelerator === b.accelerator && a.bootId === b.bootId && a.qemu === b.qemu && a.kernel === b.kernel
  );
}
