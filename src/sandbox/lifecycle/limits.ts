import { limitProcess, removeCgroup } from "../../host/cgroup-limit.ts";
import type { QemuMachine } from "../../qemu/machine.ts";
import type { Booted, HostLimit, Machine } from "../machine/machine.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { removeMachine, stopMachine } from "./stop.ts";

/** How often it is looked whether somebody is connected: several times in the time that is allowed. */
const LOOKS = 4;
const LONGEST_PAUSE_MS = 15_000;
const SHORTEST_PAUSE_MS = 100;

/** Puts QEMU into a cgroup of its own, where its limits ask for it. HostError. */
export async function limitOnHost(spec: MachineSpec, qemu: QemuMachine): Promise<HostLimit | null> {
  const { memoryMib, cpus } = spec.hostLimits;
  if (memoryMib === null && cpus === null) return null;
  const folder = await limitProcess(qemu.pid, `smolvm-${spec.id}`, { memoryMib, cpus });
  return { folder, remove: () => removeCgroup(folder) };
}

/**
 * Ends the machine when it has run for as long as it may, or with nobody connected for as long as it may: an ephemeral one is
 * deleted, a persistent one stopped. By a clock that nobody sets.
 */
export function watchLifetime(machine: Machine, booted: Booted): void {
  const { ttlMs, idleTimeoutMs } = machine.spec;
  const stops: (() => void)[] = [];
  if (ttlMs !== null) {
    const timer = setTimeout(
      () => end(machine, booted, `it has run for ${ttlMs / 1000} s, as long as it may`),
      ttlMs,
    );
    timer.unref();
    stops.push(() => clearTimeout(timer));
  }
  if (idleTimeoutMs !== null) stops.push(watchIdleness(machine, booted, idleTimeoutMs));
  void booted.qemu.exited.then(() => {
    for (const stop of stops) stop();
  });
}

function watchIdleness(machine: Machine, booted: Booted, idleTimeoutMs: number): () => void {
  const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, idleTimeoutMs / LOOKS));
  let usedMs = performance.now();
  const look = async () => {
    const nowMs = performance.now();
    if (await isInUse(machine, booted, pauseMs)) usedMs = nowMs;
    if (nowMs - usedMs >= idleTimeoutMs)
      end(machine, booted, `nobody has used it for ${idleTimeoutMs / 1000} s, as long as it may stand idle`);
  };
  let isLooking = false;
  // One after the other: a QEMU that does not answer is not asked again and again.
  const lookOnce = async () => {
    if (isLooking) return;
    isLooking = true;
    await look().catch(() => {});
    isLooking = false;
  };
  const timer = setInterval(() => void lookOnce(), pauseMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** A connection that no command of this process needs is closed, so that it is not taken for somebody's. */
async function isInUse(machine: Machine, { qemu, runner }: Booted, restAfterMs: number): Promise<boolean> {
  if (machine.status.phase !== "running" || machine.copying) return true;
  if (runner?.idleMs === 0) return true;
  if (runner && runner.idleMs >= restAfterMs) await runner.rest();
  return (await qemu.countConnections()) > 0;
}

function end(machine: Machine, booted: Booted, reason: string): void {
  if (machine.booted !== booted) return;
  const ending = machine.spec.persistent ? stopMachine(machine, {}, reason) : removeMachine(machine, reason);
  ending.catch((error) =>
    machine.surroundings.logger.warn?.(`Machine "${machine.spec.name}" could not be ended: ${error}`),
  );
}
