/** Whole numbers from 0 to `below` - 1: always the same ones for the same seed. */
export type Random = (below: number) => number;

/** TEST_SEED, else a new one for each run; print it where a test fails. */
export function chooseSeed(): number {
  return Number(process.env.TEST_SEED ?? Date.now() % 1_000_000);
}

/** A small linear congruential generator. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** `bytes` cut into chunks of random sizes. */
export function randomChunks(bytes: Buffer, random: Random, largest = 20): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random(largest);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}
