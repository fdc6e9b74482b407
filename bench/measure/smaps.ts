/** The proportional set size out of /proc/<pid>/smaps_rollup, in MiB. Throws where there is none. */
export function parsePssMib(smapsRollup: string): number {
  const kib = /^Pss:\s+(\d+) kB$/m.exec(smapsRollup)?.[1];
  if (kib === undefined) throw new Error("smaps_rollup has no Pss line.");
  return Number(kib) / 1024;
}
