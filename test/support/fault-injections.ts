import { once } from "node:events";
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { recordFile } from "../../src/state/paths.ts";
import { injectIntoHost } from "./fault-host.ts";
import { KILLS, type Plan, type RecordFault, STANDSTILLS } from "./fault-plan.ts";
import type { World } from "./fault-world.ts";

/** What was done, and how it is undone, so that the same call can work again. */
export interface Injection {
  /** Whether there was anything that could be hit at that moment. */
  readonly didHit: boolean;
  mend(): Promise<void>;
}

const NOTHING: Injection = { didHit: false, mend: async () => {} };
const hit = (mend: () => Promise<void> | void = () => {}): Injection => ({
  didHit: true,
  mend: async () => mend(),
});

/** Breaks something while the step is under way, as soon as it is there. `name` is the machine that is hit. */
export async function inject(
  world: World,
  plan: Plan,
  name: string,
  isOver: () => boolean,
): Promise<Injection> {
  const ofHost = await injectIntoHost(world, plan, name);
  if (ofHost) return ofHost;
  for (;;) {
    const injection = await tryToInject(world, plan, name);
    if (injection.didHit || isOver()) return injection;
    await sleep(10);
  }
}

async function tryToInject(world: World, plan: Plan, name: string): Promise<Injection> {
  const { fault } = plan;
  if (fault in KILLS) return killAll(world, name, KILLS[fault as keyof typeof KILLS]);
  if (fault in STANDSTILLS) {
    const [target, then] = STANDSTILLS[fault as keyof typeof STANDSTILLS];
    return standStill(world, name, target, then === "delete" ? null : plan.pauseMs);
  }
  if (fault.startsWith("record")) return breakRecord(world, name, fault as RecordFault);
  if (fault === "clock jumps") return jump(world, plan.days);
  if (fault === "disk full") return fillDisk(world);
  return NOTHING;
}

/** Where a machine's port is to be: somebody has it, or nobody yet. */
export async function takePort(): Promise<{
  readonly port: number;
  free(): Promise<void>;
  take(): Promise<void>;
}> {
  let server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return {
    port,
    async free() {
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
    async take() {
      server = createServer().listen(port, "127.0.0.1");
      await once(server, "listening");
    },
  };
}

type Target = "creator" | "supervisor" | "qemu" | "guardian";

async function killAll(world: World, name: string, targets: readonly Target[]): Promise<Injection> {
  const pids = targets.flatMap((target) => pidsOf(world, name, target));
  for (const pid of pids) signal(pid, "SIGKILL");
  if (targets.includes("creator")) await world.creator.kill();
  return pids.length > 0 ? hit() : NOTHING;
}

function standStill(world: World, name: string, target: Target, pauseMs: number | null): Injection {
  const pids = pidsOf(world, name, target);
  for (const pid of pids) signal(pid, "SIGSTOP");
  if (pids.length === 0) return NOTHING;
  if (pauseMs === null) return hit();
  const goingOn = sleep(pauseMs).then(() => {
    for (const pid of pids) signal(pid, "SIGCONT");
  });
  return hit(() => goingOn);
}

/** Of a guardian's two processes the one that is QEMU's parent. */
function pidsOf(world: World, name: string, target: Target): number[] {
  if (target === "creator") return [world.creator.pid];
  const supervisor = world.supervisorOf(name);
  if (target === "supervisor") return supervisor ? [supervisor.pid] : [];
  const owned = world.processesOf(name);
  const found = owned.filter(({ role }) => role === target);
  const parents = owned.filter(({ role }) => role === "qemu").map(({ parent }) => parent);
  return found.filter(({ pid }) => target === "qemu" || parents.includes(pid)).map(({ pid }) => pid);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

/**
 * As an accident would, without asking who holds it. In the end it is mended as a person would: what was changed is changed back. What
 * is lost is put back only where nobody holds the machine, who knows better.
 */
function breakRecord(world: World, name: string, fault: RecordFault): Injection {
  const path = recordFile(world.folderOf(name));
  if (!existsSync(path)) return NOTHING;
  const before = readFileSync(path, "utf8");
  const after = broken(before, fault);
  if (after === null) rmSync(path);
  else writeFileSync(path, after);
  return hit(() => {
    const now = existsSync(path) ? readFileSync(path, "utf8") : null;
    if (!world.hasFolder(name) || now !== after) return;
    const isHeld = world.supervisorOf(name) !== undefined || world.processesOf(name).length > 0;
    if (!isHeld || fault === "record newer") writeFileSync(path, before);
  });
}

function broken(text: string, fault: RecordFault): string | null {
  if (fault === "record missing") return null;
  if (fault === "record truncated") return text.slice(0, text.length / 2);
  if (fault === "record newer") return text.replace(/"formatVersion": \d+/, '"formatVersion": 99');
  return text.replace(/"spec"/, '"spce"');
}

async function jump(world: World, days: number): Promise<Injection> {
  const actors = [world.creator, world.observer];
  for (const actor of actors) await actor.ask("jump", days);
  return hit(async () => {
    for (const actor of actors) await actor.ask("jump", -days);
  });
}

/** To the last byte. */
function fillDisk(world: World): Injection {
  const filler = world.seen(join(world.state.home, "filler"));
  for (const bytes of [1 << 20, 4096]) {
    try {
      for (;;) appendFileSync(filler, Buffer.alloc(bytes, 1));
    } catch {
      // It is full.
    }
  }
  return hit(() => rmSync(filler, { force: true }));
}
