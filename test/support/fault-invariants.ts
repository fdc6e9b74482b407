import type { VMInfo } from "../../src/index.ts";
import { eventually } from "./eventually.ts";
import type { World } from "./fault-world.ts";

/** The promise. */
const GONE_MS = 2_000;
/** What a holder may need to see that its QEMU is dead, or a busy host to take a process down. */
const SETTLED_MS = 5_000;

/**
 * An ephemeral machine goes with its creator, without anybody who cleans up. Of one that was stopped before there is nothing that could
 * hear of his death: its files go with the next one who looks.
 */
export async function checkGoneWithCreator(
  world: World,
  names: readonly string[],
  wasStopped: boolean,
): Promise<void> {
  const isLeft = (name: string) =>
    (!wasStopped && world.hasFolder(name)) || world.processesOf(name).length > 0;
  const left = () => names.filter(isLeft).join(", ");
  await eventually(() => left() === "", "what was its creator's is gone", GONE_MS).catch((error) => {
    const what = names.flatMap((name) => world.processesOf(name)).map(({ command }) => command.slice(0, 60));
    throw new Error(`${error.message}: ${left()}, ${what}`);
  });
}

/** What list() says is what get() says and what lives. */
export async function checkStatus(world: World, name: string): Promise<void> {
  let problem = "";
  const isRight = async () => {
    problem = await findWrongStatus(world, name);
    return problem === "";
  };
  await eventually(isRight, "its status is right", SETTLED_MS).catch((error) => {
    throw new Error(`${error.message}: ${problem}`);
  });
}

export async function isListed(world: World, name: string): Promise<boolean> {
  return (await find(world, name)) !== undefined;
}

/** After a prune. */
export async function checkNothingLeft(world: World): Promise<void> {
  await world.observer.ask("prune");
  const listed = await world.observer.ask<VMInfo[]>("list");
  if (listed.length > 0) throw new Error(`list() still has ${listed.map(({ name }) => name)}`);
  await eventually(() => world.leftovers().length === 0, "nothing is left", SETTLED_MS).catch((error) => {
    throw new Error(`${error.message}: ${world.leftovers().join("; ")}`);
  });
  for (const actor of [world.creator, world.observer])
    if (actor.words !== "") throw new Error(`a program said: ${actor.words}`);
}

async function findWrongStatus(world: World, name: string): Promise<string> {
  const listed = await find(world, name);
  const got = await world.observer.call("look", name);
  const qemu = world.processesOf(name).find(({ role }) => role === "qemu");
  if (listed === undefined) {
    if (got.kind !== "error" || got.error.name !== "VMNotFoundError")
      return `get() finds it, list() does not`;
    return qemu ? "its QEMU lives" : "";
  }
  const { status, statusReason } = listed;
  const said = `it is "${status}" (${statusReason})`;
  if (got.kind !== "value" || got.value !== status) return `${said}, and get() says ${JSON.stringify(got)}`;
  const isUp = status === "running" || status === "paused";
  if (!isUp && !["created", "stopped", "error"].includes(status)) return `${said} for long`;
  if (isUp && (!qemu || qemu.isStopped || qemu.pid !== listed.pid)) return `${said}, and its QEMU is not`;
  if (!isUp && qemu) return `${said}, and its QEMU lives`;
  const kept = await world.creator.call("status", name);
  if (kept.kind === "value" && kept.value !== "none" && kept.value !== status)
    return `${said}, and a handle that was kept says ${kept.value}`;
  return "";
}

async function find(world: World, name: string): Promise<VMInfo | undefined> {
  const infos = await world.observer.ask<VMInfo[]>("list");
  return infos.find((each) => each.name === name);
}
