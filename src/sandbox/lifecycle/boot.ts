import type { QemuMachine } from "../../qemu/machine.ts";
import type { CommandRunner } from "../../ssh/command/command-runner.ts";
import type { SavedMachine } from "../../state/snapshots.ts";
import { bounded } from "../../util/bounded.ts";
import type { BootContext } from "../boot/boot-context.ts";
import { bootCold } from "../boot/cold.ts";
import { type SharedTime, startInTime } from "../boot/in-time.ts";
import { PhaseClock } from "../boot/phases.ts";
import { setUp, takePlace } from "../boot/prepare.ts";
import { setEnvVars } from "../command/environment.ts";
import type { Setup } from "../machine/boot-setup.ts";
import type { Booted, BootReport, HostLimit, Machine, Started } from "../machine/machine.ts";
import type { PortSpec } from "../machine/spec.ts";
import { setUpRestore, startRestored } from "../snapshot/restore.ts";
import { startClone } from "../template/clone.ts";
import { limitOnHost } from "./limits.ts";

/** From a specification to a machine that is up. What is left where it fails is the caller's to remove. */
export async function bootMachine(machine: Machine, context: BootContext): Promise<Booted> {
  const clock = new PhaseClock();
  const isFirst = !machine.wasBooted;
  const origin = isFirst ? machine.origin : null;
  return startInTime(machine.spec.name, context, (inside, time) =>
    origin
      ? restoreMachine(machine, origin, inside, time, clock)
      : bootOrClone(machine, isFirst, inside, time, clock),
  );
}

async function bootOrClone(
  machine: Machine,
  isFirst: boolean,
  context: BootContext,
  { leftMs, untimed }: SharedTime,
  clock: PhaseClock,
): Promise<Booted> {
  const left = () => ({ ...context, timeoutMs: leftMs() });
  const found = await setUp(machine, { ...context, untimed }, clock);
  const clone = await startClone(machine, found, left(), clock);
  const { setup } = "whyCold" in clone ? await takePlace(machine, found) : clone;
  const started = "whyCold" in clone ? await bootCold(machine, setup, left(), clock) : clone;
  const way = "whyCold" in clone ? "cold" : "template";
  const report = () => reportOf(setup, clock, way, "whyCold" in clone ? clone.whyCold : "");
  return finish(machine, { ...started, setup }, { isFirst, report, ...left() });
}

/** The first start of a machine that is a copy of another one. */
async function restoreMachine(
  machine: Machine,
  origin: SavedMachine,
  context: BootContext,
  { leftMs, untimed }: SharedTime,
  clock: PhaseClock,
): Promise<Booted> {
  const left = () => ({ ...context, timeoutMs: leftMs() });
  const setup = await setUpRestore(machine.spec, machine.state, origin, { ...context, untimed });
  clock.mark("setup");
  const started = await startRestored(machine, origin, setup, left(), clock);
  const report = () => reportOf(setup, clock, "snapshot", "");
  return finish(machine, { ...started, setup }, { isFirst: true, report, ...left() });
}

interface Finishing extends BootContext {
  readonly isFirst: boolean;
  readonly report: () => BootReport;
}

async function finish(
  machine: Machine,
  started: Started & { readonly setup: Setup },
  { isFirst, report, signal, timeoutMs }: Finishing,
): Promise<Booted> {
  const { spec } = machine;
  const { qemu, runner } = started;
  let limits: HostLimit | null = null;
  try {
    limits = await limitOnHost(spec, qemu);
    const operation = "Setting up the machine's ports and variables";
    await bounded(outfit(machine, qemu, isFirst ? runner : null), { operation, timeoutMs, signal });
    return { ...started, limits, report: report() };
  } catch (error) {
    await runner?.close();
    // Where it can't be ended, the first error is the one to tell.
    await qemu.kill().then(
      () => limits?.remove(),
      () => {},
    );
    throw error;
  }
}

async function outfit(machine: Machine, qemu: QemuMachine, runner: CommandRunner | null): Promise<void> {
  await openPorts(qemu, machine.spec.ports);
  if (runner) await applyEnv(machine, runner);
}

async function openPorts(qemu: QemuMachine, ports: readonly PortSpec[]): Promise<void> {
  for (const { guest, host } of ports) {
    await qemu.addForward({ hostAddress: "127.0.0.1", hostPort: host ?? 0, guestPort: guest });
  }
}

async function applyEnv({ spec }: Machine, runner: CommandRunner): Promise<void> {
  if (Object.keys(spec.env).length > 0)
    await setEnvVars({ runner, vm: spec, environmentLock: null }, spec.env);
}

function reportOf(
  { choice }: Setup,
  { phases }: PhaseClock,
  way: BootReport["way"],
  wayReason: string,
): BootReport {
  return {
    accelerator: choice.accelerator,
    acceleratorReason: choice.reason,
    way,
    wayReason,
    startedAt: new Date().toISOString(),
    phases,
  };
}
