import type { Outcome } from "./fault-actor.ts";
import { injectIntoHost } from "./fault-host.ts";
import { type HostFault, type Plan, planRound } from "./fault-plan.ts";
import type { World } from "./fault-world.ts";
import { seededRandom } from "./random.ts";

/** The first of whatever the program does next. */
const AT_ONCE: Plan = { ...planRound(seededRandom(1), 0), skip: 0, times: 1, code: "EIO", slowMs: 100 };

/** What can't but be hit: each fault of the host that comes by chance in a round, and a call that it has to meet. */
const AIMED: readonly [HostFault, (world: World, name: string) => Promise<Outcome>][] = [
  ["slow QMP", ({ creator }, name) => creator.call("pause", name)],
  ["failing calls", ({ observer }, name) => observer.call("look", name)],
  ["out of descriptors", ({ observer }, name) => observer.call("look", name)],
  ["failing removals", ({ creator }, name) => creator.call("delete", name)],
];

/**
 * With faults that hit nothing all rounds would pass, and show nothing. The creator's running machine of that name shows that they do; it
 * may be gone then, or not.
 */
export async function proveFaults(world: World, name: string): Promise<void> {
  for (const [fault, call] of AIMED) {
    const injection = await injectIntoHost(world, { ...AT_ONCE, fault }, name);
    const outcome = await call(world, name);
    const didHit = fault === "out of descriptors" ? hasNoFiles(outcome) : injection?.didHit;
    await injection?.mend();
    if (!didHit) throw new Error(`"${fault}" hits nothing: ${JSON.stringify(outcome)}`);
  }
}

/** Of this one, no list of hits can be kept: that would need a file. */
function hasNoFiles(outcome: Outcome): boolean {
  return outcome.kind === "error" && outcome.error.message.includes("EMFILE");
}
