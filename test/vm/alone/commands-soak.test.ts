import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../../src/index.ts";
import { type Census, takeIdleCensus } from "../../support/guest-census.ts";
import { type HostMemory, measureHostMemory } from "../../support/host-memory.ts";
import { chooseSeed, type Random, seededRandom } from "../../support/random.ts";
import { chooseTrial } from "../../support/soak-commands.ts";

/** `npm run soak` has 10,000. */
const COMMANDS = Number(process.env.SMOLVM_SOAK ?? 250);
const WARM_UP = 250;
/** How many at once, for some time each. */
const CROWDS = [1, 1, 2, 4, 8, 16];
const LARGEST_CROWD = 16;
/** A worker whose command left somebody running keeps its place for as long as that lives, as many as these. */
const MOST_HELD = 32;

/** What may have grown since the warm-up. */
const GUEST_GROWTH_KIB = 8 * 1024;
const HEAP_GROWTH_MIB = 8;
const RSS_GROWTH_MIB = 64;
/** As much as one command may take at most on a computer that does nothing else. */
const SLOWEST_MS = 400;

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

/** `count` commands, in crowds that come and go; what went wrong, at most a handful. */
async function runMix(count: number, random: Random): Promise<string[]> {
  const problems: string[] = [];
  let started = 0;
  const runSome = async (until: number) => {
    while (started < until && problems.length < 5) {
      const n = started++;
      const trial = chooseTrial(random);
      await trial(vm, random, n).catch((error) => {
        problems.push(`command ${n}, ${trial.name}: ${error}`);
        console.log(problems.at(-1)); // the others may take their time
      });
      if (random(8) === 0) await sleep(random(70)); // shells are started ahead of time meanwhile
    }
  };
  while (started < count && problems.length < 5) {
    const until = Math.min(count, started + 20 + random(60));
    const crowd = CROWDS[random(CROWDS.length)] ?? 1;
    await Promise.all(Array.from({ length: crowd }, () => runSome(until)));
  }
  return problems;
}

/**
 * A connection's own, one for its workers, and one for each command that can run or be waited for at once. A number is dealt out again
 * when its worker's end has been heard of: on a busy computer some of the crowd's last commands are still closing.
 */
const STANDING_CGROUP = /^(\/background|\/keepers|\/#\d(\/(workers|server|\d+))?)?$/;
const MOST_COMMANDS = 4 * LARGEST_CROWD + MOST_HELD;
const MOST_OTHER_CGROUPS = 8;

function tell(what: string, census: Census, host: HostMemory): void {
  const { cgroups, notes, channels, sessions, availableKib } = census;
  const guest = `guest: ${availableKib} KiB available, ${channels} channels of ${sessions} connection, ${cgroups.length} cgroups, ${notes} notes`;
  console.log(
    `${what}: ${guest}; host: heap ${host.heapMib} MiB, RSS ${host.rssMib} MiB, ${host.resources} resources`,
  );
}

describe("a machine that has run many commands", () => {
  const seed = chooseSeed();

  it(
    `has run each of ${COMMANDS} right, and is as it was before (seed ${seed})`,
    async () => {
      const random = seededRandom(seed);
      expect(await runMix(WARM_UP, random), `seed ${seed}`).toEqual([]);
      const [guestBefore, hostBefore] = [await takeIdleCensus(vm), await measureHostMemory()];
      tell(`After ${WARM_UP} commands, seed ${seed}`, guestBefore, hostBefore);

      const beganMs = performance.now();
      expect(await runMix(COMMANDS, random), `seed ${seed}`).toEqual([]);
      const seconds = (performance.now() - beganMs) / 1000;
      console.log(
        `${COMMANDS} commands took ${seconds.toFixed(0)} s: ${(COMMANDS / seconds).toFixed(1)} each second`,
      );

      const [guestAfter, hostAfter] = [await takeIdleCensus(vm), await measureHostMemory()];
      tell("At the end", guestAfter, hostAfter);
      expect(guestAfter.sessions).toBe(1);
      expect(guestAfter.files).toEqual(guestBefore.files);
      expect(guestAfter.cgroups.filter((path) => !STANDING_CGROUP.test(path))).toEqual([]);
      expect(guestAfter.cgroups.length).toBeLessThanOrEqual(MOST_COMMANDS + MOST_OTHER_CGROUPS);
      expect(guestAfter.notes).toBeLessThanOrEqual(MOST_COMMANDS);
      expect(guestBefore.availableKib - guestAfter.availableKib).toBeLessThan(GUEST_GROWTH_KIB);
      expect(hostAfter.heapMib - hostBefore.heapMib).toBeLessThan(HEAP_GROWTH_MIB);
      expect(hostAfter.rssMib - hostBefore.rssMib).toBeLessThan(RSS_GROWTH_MIB);
      expect(hostAfter.resources).toBeLessThanOrEqual(hostBefore.resources + 2);
    },
    300_000 + (WARM_UP + COMMANDS) * SLOWEST_MS,
  );
});
