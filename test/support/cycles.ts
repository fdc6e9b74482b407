import type { Actor } from "./fault-actor.ts";
import { checkNothingLeft } from "./fault-invariants.ts";
import { World } from "./fault-world.ts";

/** How long each cycle took, in the order in which they began. */
export type CycleTimes = readonly number[];

/** Creates a machine, runs a command in it and deletes it, so often, from several programs at once; afterwards nothing may be left. */
export async function runCycles(count: number, programs: number): Promise<CycleTimes> {
  const world = await World.open();
  try {
    const actors = Array.from({ length: programs }, () => world.newActor());
    await runCycle(world.creator, "first"); // makes the template
    const times = new Array<number>(count);
    let next = 0;
    const runSome = async (actor: Actor) => {
      for (let index = next++; index < count; index = next++)
        times[index] = await runCycle(actor, `c${index}`);
    };
    await Promise.all(actors.map(runSome));
    for (const actor of actors) {
      if (actor.words !== "") throw new Error(`a program said: ${actor.words}`);
      await actor.kill();
    }
    await checkNothingLeft(world);
    return times;
  } finally {
    await world.close();
  }
}

/** The median of each tenth. */
export function tenths(times: CycleTimes): number[] {
  return Array.from({ length: 10 }, (_, tenth) => {
    const [from, to] = [tenth, tenth + 1].map((each) => Math.floor((each * times.length) / 10));
    const some = times.slice(from, to).sort((a, b) => a - b);
    return Math.round(some[Math.floor(some.length / 2)] ?? Number.NaN);
  });
}

async function runCycle(actor: Actor, name: string): Promise<number> {
  const beganMs = performance.now();
  await actor.ask("create", { name, image: "tiny", memSizeMib: 128, accelerator: "tcg", network: "off" });
  const said = await actor.ask("run", name, `echo ${name}`);
  if (said !== name) throw new Error(`"${name}" says ${said}`);
  await actor.ask("delete", name);
  return performance.now() - beganMs;
}
