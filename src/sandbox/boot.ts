import type { QemuMachine } from "../qemu/machine.ts";
import type { CommandRunner } from "../ssh/runner.ts";
import { startClone } from "./clone.ts";
import { bootCold } from "./cold.ts";
import { setEnvVars } from "./environment.ts";
import type { Booted, BootReport, Machine } from "./machine.ts";
import { PhaseClock } from "./phases.ts";
import { type BootContext, type Setup, setUp } from "./setup.ts";
import type { PortSpec } from "./spec.ts";

/** What a cold boot gets at least, where trying a clone has used the time up. */
const LEAST_BOOT_MS = 1_000;

/** From a specification to a machine that is up. What is left where it fails is the caller's to remove. */
export async function bootMachine(machine: Machine, context: BootContext): Promise<Booted> {
  const clock = new PhaseClock();
  const isFirst = machine.folder === null;
  const setup = await setUp(machine.spec, machine.state, context, clock);
  const deadlineMs = performance.now() + context.timeoutMs;
  const clone = await startClone(machine, setup, context, clock);
  const timeoutMs = Math.max(LEAST_BOOT_MS, deadlineMs - performance.now());
  const started =
    "whyCold" in clone ? await bootCold(machine, setup, { ...context, timeoutMs }, clock) : clone;
  const { qemu, runner } = started;
  try {
    await openPorts(qemu, machine.spec.ports);
    if (runner && isFirst) await applyEnv(machine, runner);
    return { ...started, report: reportOf(setup, clock, "whyCold" in clone ? clone.whyCold : null) };
  } catch (error) {
    await runner?.close();
    await qemu.kill();
    throw error;
  }
}

async function openPorts(qemu: QemuMachine, ports: readonly PortSpec[]): Promise<void> {
  for (const { guest, host } of ports) {
    await qemu.addForward({ hostAddress: "127.0.0.1", hostPort: host ?? 0, guestPort: guest });
  }
}

async function applyEnv({ spec }: Machine, runner: CommandRunner): Promise<void> {
  if (Object.keys(spec.env).length > 0) await setEnvVars({ runner, vmId: spec.id }, spec.env);
}

function reportOf({ choice }: Setup, { phases }: PhaseClock, whyCold: string | null): BootReport {
  return {
    accelerator: choice.accelerator,
    acceleratorReason: choice.reason,
    way: whyCold === null ? "template" : "cold",
    wayReason: whyCold ?? "",
    startedAt: new Date().toISOString(),
    phases,
  };
}
