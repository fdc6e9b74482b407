import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

export interface HostMemory {
  readonly heapMib: number;
  readonly rssMib: number;
  /** Sockets, timers and whatever else the event loop waits for. */
  readonly resources: number;
}

/** What this process takes, once all that nobody refers to is gone. */
export async function measureHostMemory(): Promise<HostMemory> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let round = 0; round < 3; round++) {
    collect();
    await sleep(100);
  }
  const { heapUsed, rss } = process.memoryUsage();
  return {
    heapMib: Math.round(heapUsed / 1024 / 102.4) / 10,
    rssMib: Math.round(rss / 1024 / 1024),
    resources: process.getActiveResourcesInfo().length,
  };
}
