import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Injection } from "./fault-injections.ts";
import type { Plan } from "./fault-plan.ts";
import { ADDED_DIGEST, type World } from "./fault-world.ts";

/** Faults of the host itself, and of those who share its state folder; null where the plan has none of these. */
export async function injectIntoHost(world: World, plan: Plan, name: string): Promise<Injection | null> {
  switch (plan.fault) {
    case "slow QMP":
      return slowDown(world, plan, name);
    case "failing calls":
      return failCalls(world, { ...plan, kind: "call" });
    case "failing removals":
      return failCalls(world, { kind: "removal", code: "EBUSY", skip: plan.skip % 4, times: plan.times });
    case "out of descriptors":
      return takeDescriptors(world, plan, name);
    case "second image":
      return addImage(world, plan.image);
    case "other PID namespace":
      return letStrangerIn(world, plan.round);
    default:
      return null;
  }
}

/** At the so manieth command from now on. It stands still for a while, and then goes on wherever it was. */
function slowDown(world: World, { skip, slowMs }: Plan, name: string): Injection {
  world.order({ kind: "slow", folder: world.folderOf(name), skip });
  const goOn = (async () => {
    for (let tries = 0; tries < 3_000; tries++) {
      const [pid] = world.orderHits().at(0)?.split(" ") ?? [];
      if (pid !== undefined) {
        await sleep(slowMs);
        signal(Number(pid), "SIGCONT");
        return;
      }
      if (!world.isOrdered) return;
      await sleep(10);
    }
  })();
  return {
    get didHit() {
      return world.orderHits().length > 0;
    },
    async mend() {
      world.unorder();
      await goOn;
    },
  };
}

function failCalls(
  world: World,
  { kind, code, skip, times }: Pick<Plan, "skip" | "times"> & { kind: "call" | "removal"; code: string },
): Injection {
  world.order({ kind, code, skip, times });
  return {
    get didHit() {
      return world.orderHits().length > 0;
    },
    mend: async () => world.unorder(),
  };
}

/** The program that is asked and the one that holds the machine may open no more than a few files. */
function takeDescriptors(world: World, { skip }: Plan, name: string): Injection {
  const pids = [world.creator.pid, world.observer.pid, world.supervisorOf(name)?.pid].filter(
    (pid) => pid !== undefined,
  );
  // A supervisor with nothing to hold may end at any moment.
  const before = pids
    .filter((pid) => existsSync(`/proc/${pid}/fd`))
    .map((pid) => [pid, limitOf(pid), readdirSync(`/proc/${pid}/fd`).length] as const);
  for (const [pid, , open] of before) if (existsSync(`/proc/${pid}`)) limit(pid, open + skip);
  return {
    didHit: true,
    async mend() {
      for (const [pid, most] of before) if (existsSync(`/proc/${pid}`)) limit(pid, most);
    },
  };
}

function limitOf(pid: number): number {
  const line = readFileSync(`/proc/${pid}/limits`, "utf8")
    .split("\n")
    .find((each) => each.startsWith("Max open files"));
  return Number(line?.split(/\s+/)[3]);
}

function limit(pid: number, files: number): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${files}:`]);
}

/** As a rebuild leaves it: of the same recipe, and newer. Its disk is empty, so that a machine that takes it for another's does not come up. */
function addImage(world: World, image: string): Injection {
  const { images } = world.state;
  const read = (folder: string) => JSON.parse(readFileSync(join(images, folder, "image.json"), "utf8"));
  const found = readdirSync(images)
    .filter((each) => each.startsWith(`${image}-`))
    .sort((a, b) => read(a).createdAt.localeCompare(read(b).createdAt));
  const newest = found.at(-1) ?? "";
  const manifest = read(newest);
  const target = join(images, newest.replace(/[0-9a-f]{16}$/, ADDED_DIGEST));
  mkdirSync(target, { mode: 0o700 });
  for (const file of ["vmlinux", "initramfs.cpio"]) cpSync(join(images, newest, file), join(target, file));
  writeFileSync(join(target, "rootfs.ext4"), "");
  truncateSync(join(target, "rootfs.ext4"), manifest.rootfsBytes);
  const digest = `${ADDED_DIGEST}${manifest.digest.slice(ADDED_DIGEST.length)}`;
  const createdAt = new Date(Date.now() + 3_600_000).toISOString();
  writeFileSync(join(target, "image.json"), JSON.stringify({ ...manifest, digest, createdAt }));
  return { didHit: true, mend: async () => rmSync(target, { recursive: true, force: true }) };
}

/** A program in another PID namespace, as in a container that shares the state folder: it cleans up, and has a machine of its own. */
async function letStrangerIn(world: World, round: number): Promise<Injection> {
  const stranger = world.newStranger();
  const name = `x${round}`;
  const options = { image: "tiny", name, memSizeMib: 128, accelerator: "tcg", network: "off" };
  try {
    await stranger.ask("prune");
    await stranger.ask("list");
    await stranger.ask("create", options);
    await world.observer.ask("prune");
    const said = await stranger.ask("run", name, "echo here");
    if (said !== "here") throw new Error(`the machine of another PID namespace says ${said}`);
    await stranger.ask("prune");
    await stranger.ask("delete", name);
  } catch (error) {
    const remedy =
      "where no PID namespace can be made, run as root, or choose other rounds with SMOLVM_FAULT_PLAN";
    throw new Error(`in another PID namespace: ${(error as Error).message} (${remedy})`);
  } finally {
    await stranger.kill();
  }
  return { didHit: true, mend: async () => {} };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}
