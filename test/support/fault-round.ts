import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { VMInfo } from "../../src/index.ts";
import { recordFile } from "../../src/state/paths.ts";
import type { Actor, Outcome } from "./fault-actor.ts";
import { type Injection, inject, takePort } from "./fault-injections.ts";
import { checkGoneWithCreator, checkNothingLeft, checkStatus, isListed } from "./fault-invariants.ts";
import { comesBefore, isHarmless, type Plan, STEPS } from "./fault-plan.ts";
import type { World } from "./fault-world.ts";

export interface RoundResult {
  readonly plan: Plan;
  readonly didHit: boolean;
  /** How the step went that was disturbed. */
  readonly outcome: string;
  /** Null: everything held. */
  readonly problem: string | null;
}

/** One machine's life up to the step, the step and what breaks in it, what must hold then, the same call again, and the end. */
export async function runRound(world: World, plan: Plan): Promise<RoundResult> {
  const round = new Round(world, plan);
  try {
    await round.run();
    return { plan, didHit: round.didHit, outcome: round.outcome, problem: null };
  } catch (error) {
    const problem = `${JSON.stringify(plan)}: the step: ${round.outcome}; ${(error as Error).message}`;
    await world.reset();
    return { plan, didHit: round.didHit, outcome: round.outcome, problem };
  }
}

type Port = Awaited<ReturnType<typeof takePort>>;

class Round {
  didHit = false;
  outcome = "did not begin";
  readonly #world: World;
  readonly #plan: Plan;
  readonly #name: string;
  readonly #copy: string;
  readonly #snapshot: string;
  /** The one that is hit. */
  readonly #victim: string;
  #port: Port | null = null;
  #digest: string | null = null;
  #isLost = false;

  constructor(world: World, plan: Plan) {
    const { round, step, percent } = plan;
    [this.#world, this.#plan] = [world, plan];
    [this.#name, this.#copy, this.#snapshot] = [`m${round}`, `r${round}`, `s${round}`];
    this.#victim = step === "restore" || (step === "fork" && percent > 60) ? this.#copy : this.#name;
  }

  async run(): Promise<void> {
    this.#world.revive();
    if (this.#plan.fault === "port taken") this.#port = await takePort();
    try {
      await this.#prepare();
      const injection = await this.#disturb();
      await this.#settle(injection);
      await this.#again();
      await this.#checkDisk();
      await this.#end();
    } finally {
      await this.#port?.free();
    }
  }

  get #options() {
    const { image, persistent, step } = this.#plan;
    const ports = this.#port && step !== "restore" ? { ports: [{ guest: 80, host: this.#port.port }] } : {};
    return {
      ...{ image, persistent, name: this.#name, memSizeMib: 128, accelerator: "tcg", network: "off" },
      ...ports,
    };
  }

  get #actor(): Actor {
    return this.#plan.by === "creator" ? this.#world.creator : this.#world.observer;
  }

  async #prepare(): Promise<void> {
    const { from } = STEPS[this.#plan.step];
    const { creator } = this.#world;
    if (from === "none") return;
    await this.#port?.free();
    await creator.ask("create", this.#options);
    if (this.#plan.image === "debian") {
      const write = "head -c 200000 /dev/urandom >/root/kept && sync && sha256sum </root/kept";
      this.#digest = await creator.ask("run", this.#name, write);
    }
    if (from === "stopped") await creator.ask("stop", this.#name);
    if (from === "paused") await creator.ask("pause", this.#name);
    if (from === "saved") await creator.ask("snapshot", this.#name, this.#snapshot);
    await this.#port?.take();
  }

  /** The step, and what breaks in it. */
  async #disturb(): Promise<Injection> {
    const { step, percent, fault } = this.#plan;
    const isDeleting = fault.endsWith("then delete");
    let isOver = this.#port !== null;
    const before = comesBefore(this.#plan)
      ? await inject(this.#world, this.#plan, this.#victim, () => true)
      : null;
    const stepping = this.#step(this.#actor).finally(() => {
      isOver = true;
    });
    if (!before) await sleep((STEPS[step].ms * percent) / 100);
    const injection = before ?? (await inject(this.#world, this.#plan, this.#victim, () => isOver));
    this.didHit = injection.didHit || this.#port !== null;
    if (isDeleting && this.didHit) await this.#deleteVictim();
    const outcome = await stepping;
    this.didHit ||= injection.didHit;
    this.outcome =
      outcome.kind === "error" ? `${outcome.error.code}: ${outcome.error.message}` : outcome.kind;
    this.#judge(outcome);
    return injection;
  }

  #step(actor: Actor): Promise<Outcome> {
    const { persistent, step } = this.#plan;
    const ports = this.#port ? { ports: [{ guest: 80, host: this.#port.port }] } : {};
    const calls: Record<Plan["step"], readonly unknown[]> = {
      ...{ create: [this.#options], start: [this.#name], stop: [this.#name], delete: [this.#name] },
      ...{ pause: [this.#name], resume: [this.#name] },
      run: [this.#name, "sleep 0.3; echo done"],
      snapshot: [this.#name, this.#snapshot],
      restore: [this.#snapshot, { name: this.#copy, persistent, ...ports }],
      fork: [this.#name, { name: this.#copy }],
    };
    return actor.call(step, ...calls[step]);
  }

  /** A fault may make the call fail, but in a way that a caller can understand. */
  #judge(outcome: Outcome): void {
    const { fault, by } = this.#plan;
    const isFatal = /kill (creator|all)/.test(fault);
    if (outcome.kind === "silent") throw new Error("the call never came back");
    if (outcome.kind === "died" && !(isFatal && by === "creator"))
      throw new Error(`the program died: ${this.#actor.words}`);
    const mustWork = !this.didHit || isHarmless(this.#plan);
    if (outcome.kind !== "error") {
      if (this.#port) throw new Error("it came up without its port");
      return;
    }
    const { isOurs, code, stack } = outcome.error;
    if (!isOurs || code === "INTERNAL") throw new Error(`not an error of the library: ${stack}`);
    if (mustWork) throw new Error(`it should have worked: ${stack}`);
    if (this.#port && outcome.error.name !== "PortInUseError")
      throw new Error(`not PortInUseError: ${stack}`);
  }

  async #settle(injection: Injection): Promise<void> {
    const { persistent, fault } = this.#plan;
    const names = [this.#name, this.#copy];
    if (this.#world.creator.isDead) {
      if (!persistent) {
        const his = this.#plan.by === "creator" ? names : [this.#name];
        await checkGoneWithCreator(this.#world, his, this.#plan.step === "stop");
      }
      this.#world.revive();
    }
    if (fault.startsWith("record") && injection.didHit) await this.#checkBadRecord();
    await injection.mend();
    await this.#port?.free();
    for (const name of names) await checkStatus(this.#world, name);
    this.#isLost = !(await isListed(this.#world, this.#name));
    const isKept = persistent && STEPS[this.#plan.step].from !== "none" && this.#plan.step !== "delete";
    if (isKept && this.#isLost && !(fault.endsWith("then delete") && this.#victim === this.#name))
      throw new Error("a persistent machine is lost");
  }

  /** It hides no other machine, and one of a later version is left as it is. */
  async #checkBadRecord(): Promise<void> {
    const { observer } = this.#world;
    await observer.ask("list");
    if (this.#plan.fault !== "record newer" || !this.#world.hasFolder(this.#victim)) return;
    const path = recordFile(this.#world.folderOf(this.#victim));
    const before = readFileSync(path, "utf8");
    if (!before.includes('"formatVersion": 99')) return; // its holder has written it again
    await observer.ask("prune");
    const seen = await observer.call("info", this.#victim);
    const isHeld = this.#world.processesOf(this.#victim).length > 0;
    if (!isHeld && (seen.kind !== "error" || seen.error.code !== "NEWER_FORMAT"))
      throw new Error(`a newer record was not refused: ${JSON.stringify(seen)}`);
    if (!isHeld && readFileSync(path, "utf8") !== before) throw new Error("a newer record was changed");
  }

  async #deleteVictim(): Promise<void> {
    if (!(await isListed(this.#world, this.#victim))) return;
    const deleting = await this.#world.observer.call("delete", this.#victim);
    if (deleting.kind === "value") return;
    // A program that is still at its start takes no orders, and is not ours to end: its machine comes up after all.
    const isRefused = deleting.kind === "error" && deleting.error.code === "UNRESPONSIVE";
    if (!isRefused || this.#plan.persistent) throw new Error(`delete(): ${JSON.stringify(deleting)}`);
    for (const { pid, isStopped } of this.#world.processesOf(this.#victim))
      if (isStopped) process.kill(pid, "SIGCONT");
  }

  /** With nothing broken any more, the same call works. */
  async #again(): Promise<void> {
    const { step } = this.#plan;
    const actor = this.#actor;
    if (step === "create" || step === "start") {
      if (await isListed(this.#world, this.#name)) await actor.ask("stop", this.#name);
      await this.#up(actor);
    } else if (step !== "delete" || (await isListed(this.#world, this.#name))) {
      await this.#up(actor);
      if (step === "resume") await actor.ask("pause", this.#name);
      if (step === "restore" || step === "fork") await this.#makeRoom();
      if (step === "restore") await this.#requireSnapshot(actor);
      if (step === "snapshot") await this.#dropSnapshot();
      const outcome = await this.#step(actor);
      if (outcome.kind !== "value")
        throw new Error(`the same call does not work again: ${JSON.stringify(outcome)}`);
    }
    await this.#checkResult();
  }

  async #checkResult(): Promise<void> {
    const { step } = this.#plan;
    const expected = { stop: "stopped", pause: "paused", delete: undefined } as Record<
      string,
      string | undefined
    >;
    const now = (await this.#listed(this.#name))?.status;
    const wanted = step in expected ? expected[step] : "running";
    if (now !== wanted) throw new Error(`it is ${now} instead of ${wanted} after the same call`);
    for (const name of step === "restore" || step === "fork" ? [this.#name, this.#copy] : [this.#name])
      if (wanted === "running") await this.#requireAnswer(name);
  }

  /** By another program than the one that had it made. */
  async #requireAnswer(name: string): Promise<void> {
    const said = await this.#world.observer.ask("run", name, "echo here");
    if (said !== "here") throw new Error(`"${name}" says ${said}`);
  }

  async #up(actor: Actor): Promise<void> {
    const { persistent, round } = this.#plan;
    const listed = await this.#listed(this.#name);
    if (!listed) return void (await actor.ask("create", this.#options));
    if (listed.status === "running") return;
    // A boot takes far longer than a clone: one of them in three rounds is enough.
    const isWorthIt = persistent || this.#digest !== null || round % 3 === 0;
    if (isWorthIt || listed.status === "paused") return void (await actor.ask("start", this.#name));
    await actor.ask("delete", this.#name);
    await actor.ask("create", this.#options);
  }

  async #makeRoom(): Promise<void> {
    if (await isListed(this.#world, this.#copy)) await this.#world.observer.ask("delete", this.#copy);
  }

  async #requireSnapshot(actor: Actor): Promise<void> {
    const found = await actor.ask<{ name: string }[]>("listSnapshots");
    if (!found.some(({ name }) => name === this.#snapshot)) throw new Error("the snapshot is lost");
  }

  async #dropSnapshot(): Promise<void> {
    const found = await this.#world.observer.ask<{ name: string }[]>("listSnapshots");
    if (found.some(({ name }) => name === this.#snapshot))
      await this.#world.observer.ask("deleteSnapshot", this.#snapshot);
  }

  /** What was written and synced before is there, byte for byte, in the machine and in its copy. */
  async #checkDisk(): Promise<void> {
    if (this.#digest === null || this.#plan.step === "delete") return;
    const { observer } = this.#world;
    for (const name of [this.#name, this.#copy]) {
      const wasNever = name === this.#name || this.#plan.step === "fork"; // made of one that was made again
      if (wasNever && this.#isLost) continue;
      const listed = await this.#listed(name);
      if (!listed) continue;
      if (listed.status !== "running") await observer.ask("start", name);
      const digest = await observer.ask("run", name, "sha256sum </root/kept");
      if (digest !== this.#digest)
        throw new Error(`the disk of "${name}" has ${digest}, not ${this.#digest}`);
    }
  }

  async #end(): Promise<void> {
    const { creator, observer } = this.#world;
    await this.#makeRoom();
    if (await isListed(this.#world, this.#name)) await observer.ask("delete", this.#name);
    await this.#dropSnapshot();
    for (const actor of [creator, observer])
      for (const name of [this.#name, this.#copy]) await actor.ask("forget", name);
    await checkNothingLeft(this.#world);
  }

  async #listed(name: string): Promise<VMInfo | undefined> {
    const infos = await this.#world.observer.ask<VMInfo[]>("list");
    return infos.find((each) => each.name === name);
  }
}
