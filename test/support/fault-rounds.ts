import { checkNothingLeft, isListed } from "./fault-invariants.ts";
import { HOST_FAULTS, planFullDisk, planHostFault, planRound } from "./fault-plan.ts";
import { proveFaults } from "./fault-proof.ts";
import { type RoundResult, runRound } from "./fault-round.ts";
import { World } from "./fault-world.ts";
import { seededRandom } from "./random.ts";

const SMALL_DISK_MIB = 500;
/** What is to be the same in all rounds, as a failed one was printed: to see it again. */
const CHOSEN = chosenOf(process.env.SMOLVM_FAULT_PLAN);

/** In so many worlds at once, each with every so manieth round: the waiting of one is the working of another. */
const LANES = 2;
const LEAST_ROUNDS_EACH = 50;

/** From so many rounds on, somebody has the time for QEMU to stand still for long. */
const MANY_ROUNDS = 100;
const LONG_MS = 60_000;
const SHORT_MS = 3_000;

/** Rounds of all kinds, and then some of what befalls the host. */
export async function runRounds(rounds: number, hostRounds: number, seed: number): Promise<RoundResult[]> {
  const random = seededRandom(seed);
  const longestMs = rounds >= MANY_ROUNDS ? LONG_MS : SHORT_MS;
  const plan = (_: unknown, round: number) =>
    round < rounds ? planRound(random, round) : planHostFault(random, round, round - rounds, longestMs);
  const plans = Array.from({ length: rounds + hostRounds }, plan).map((each) => ({ ...each, ...CHOSEN }));
  const lanes = rounds >= LANES * LEAST_ROUNDS_EACH ? LANES : 1;
  const results = await Promise.all(
    Array.from({ length: lanes }, async (_, lane) =>
      runPlans(
        await World.open(),
        plans.filter(({ round }) => round % lanes === lane),
      ),
    ),
  );
  return results.flat();
}

/** The same where the disk is full. */
export async function runFullDiskRounds(rounds: number, seed: number): Promise<RoundResult[]> {
  const random = seededRandom(seed);
  const plans = Array.from({ length: rounds }, (_, round) => planFullDisk(random, round));
  return runPlans(await World.openSmall(SMALL_DISK_MIB), plans);
}

async function runPlans(
  world: World,
  plans: readonly ReturnType<typeof planRound>[],
): Promise<RoundResult[]> {
  try {
    await warmUp(world);
    const results: RoundResult[] = [];
    for (const plan of plans) {
      const beganMs = performance.now();
      const result = await runRound(world, plan);
      results.push(result);
      if (process.env.SMOLVM_FAULT_LOG) {
        const { step, fault, image, persistent, by, percent } = plan;
        const what = `${step} at ${percent} %, ${fault}, ${image}, ${persistent ? "persistent" : "ephemeral"}, by ${by}`;
        console.log(
          `${plan.round} ${Math.round(performance.now() - beganMs)} ms ${what}: ${result.outcome.slice(0, 150)}`,
        );
      }
      if (result.problem) console.log(`FAILED ${result.problem}`); // the others may take their time
    }
    return results;
  } finally {
    await world.close();
  }
}

/** With its template made, a machine is up in a moment. */
async function warmUp(world: World): Promise<void> {
  const { creator, observer } = world;
  const name = "first";
  for (const image of ["debian", "tiny"]) {
    await creator.ask("create", { image, name, memSizeMib: 128, accelerator: "tcg", network: "off" });
    if (image === "tiny" && !world.isSmall) await proveFaults(world, name);
    if (await isListed(world, name)) await observer.ask("delete", name);
  }
  await checkNothingLeft(world);
}

/** How many rounds of each fault there were, and how many of them hit something. */
export function tally(results: readonly RoundResult[]): string {
  return byFault(results)
    .map(({ fault, rounds, hits }) => `${fault} ${hits} of ${rounds}`)
    .join(", ");
}

/** A fault that comes so often, or so many of all kinds, hit something: by chance they hit far more often than not. */
const ENOUGH_ROUNDS = 10;
const ENOUGH_OF_ALL = 5;

/** Faults that must have hit something and never did: what they were to show they have not shown. None where the rounds were chosen. */
export function findIdle(results: readonly RoundResult[]): string[] {
  if (Object.keys(CHOSEN).length > 0) return [];
  const kinds = byFault(results);
  const idle = kinds.filter(({ rounds, hits }) => rounds >= ENOUGH_ROUNDS && hits === 0);
  // Those of the host are proved beforehand.
  const others = results.filter(({ plan }) => !HOST_FAULTS.some((fault) => fault === plan.fault));
  const isNone = others.length >= ENOUGH_OF_ALL && !others.some(({ didHit }) => didHit);
  return [...idle.map(({ fault }) => fault), ...(isNone ? ["all that are not the host's"] : [])];
}

function byFault(results: readonly RoundResult[]) {
  const faults = [...new Set(results.map(({ plan }) => plan.fault))].sort();
  return faults.map((fault) => {
    const of = results.filter(({ plan }) => plan.fault === fault);
    return { fault, rounds: of.length, hits: of.filter(({ didHit }) => didHit).length };
  });
}

function chosenOf(plan: string | undefined): object {
  const { round: _, ...chosen } = JSON.parse(plan ?? "{}");
  return chosen;
}
