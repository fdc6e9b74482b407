import { findSelf } from "../../host/process-identity.ts";
import { claimMachineFolder, judgeOwner } from "../../state/machine-folder.ts";
import { type MachineRecord, parseMachineRecord } from "../../state/machine-record.ts";
import { type MachinePaths, type StatePaths, statePaths } from "../../state/paths.ts";
import { decodeSavedMachine, type SavedMachine } from "../../state/snapshots.ts";
import { parseSnapshotCall, parseStart, parseStop } from "../machine/call-options.ts";
import { guardLogger, ProgressGuard } from "../machine/callbacks.ts";
import { traceBoot, traceStatus } from "../machine/diagnostics.ts";
import type { CopyOptions, Handle, Reached } from "../machine/handle.ts";
import { describeRecord, describeStored, type VMInfo } from "../machine/info.ts";
import type {
  CopyCallOptions,
  Logger,
  SmolVMOptions,
  StartOptions,
  StopOptions,
} from "../machine/options.ts";
import type { SnapshotInfo } from "../machine/snapshot-info.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { isStopped } from "../machine/standstill.ts";
import { type Phase, StatusCell } from "../machine/status.ts";
import type { HolderConnection, News } from "./connection.ts";
import { GuestAccess } from "./guest-access.ts";
import { HolderLink } from "./holder-link.ts";
import { isSoonOver, UntoldSilence, unlessSilent, unreachedError, waitForEnd } from "./silence.ts";
import { isHeld, readStanding } from "./standing.ts";
import { removeUnheld } from "./unheld.ts";

type Surroundings = Pick<SmolVMOptions, "onProgress" | "signal" | "logger">;

/** What a call to the holder may take beyond what was asked for: then it does not answer. */
const GRACE_MS = 15_000;
const FIRST_START_MS = 120_000;
const DESCRIBE_MS = 5_000;

/** A machine that another process holds, or nobody at the moment: a persistent one, or an ephemeral one of another program. */
export class RemoteMachine implements Handle {
  readonly spec: MachineSpec;
  readonly state: StatePaths;
  readonly status: StatusCell;
  readonly logger: Logger;
  readonly #surroundings: Surroundings;
  readonly #guest: GuestAccess;
  #record: MachineRecord;
  #paths: MachinePaths | null;
  /** What its first start goes on with. */
  #origin: SavedMachine | null;
  readonly #link: HolderLink;
  readonly #untold = new UntoldSilence();
  #starting: Promise<void> | null = null;
  /** Which of the looks at the machine was the last to begin, and whose answer counts. */
  #asked = 0;
  #answered = 0;

  constructor(
    record: MachineRecord,
    paths: MachinePaths | null,
    { surroundings = {}, origin = null }: { surroundings?: Surroundings; origin?: SavedMachine | null } = {},
  ) {
    this.spec = record.spec;
    this.state = statePaths();
    this.status = new StatusCell(record.spec.name);
    traceStatus(this.spec, this.status);
    this.logger = guardLogger(surroundings.logger);
    this.#surroundings = surroundings;
    const isPaused = () => this.status.phase === "paused";
    const mend = () => void this.#ask("mend").catch(() => {});
    this.#guest = new GuestAccess(this.spec, this.state, { isPaused, mend });
    const { spec, state } = this;
    const [onNews, onLost] = [(news: News) => this.#hear(news), () => this.#lost()];
    this.#link = new HolderLink({ spec, state, onNews, onLost });
    this.#record = record;
    this.#paths = paths;
    this.#origin = origin;
  }

  get paths(): MachinePaths | null {
    return this.#paths;
  }

  /** Finds out how the machine stands, from its holder where it has one. */
  async look(): Promise<this> {
    this.#untold.keep(await this.#look());
    return this;
  }

  /** As above. Gives the error of a holder that says nothing. */
  async #look(): Promise<Error | null> {
    const found = this.#untold.take() ?? (await this.#link.connect(this.#paths).catch(unlessSilent));
    const silence = found instanceof Error ? found : null;
    if (silence || found === null) await this.#lookAtFiles();
    if (silence && isHeld(this.status.phase)) this.#follow("error", silence.message);
    return silence;
  }

  start(options: StartOptions): Promise<void> {
    this.#starting ??= this.#start(options).finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  async stop(options: StopOptions): Promise<void> {
    const timeoutMs = parseStop(options);
    await this.settled();
    const paths = this.#paths;
    if (this.#isGone) throw this.status.refusal("stop");
    if (paths === null) return;
    // Where nobody holds it, there is nothing to stop but a mishap to be noted as over.
    const way = () => (this.status.phase === "error" ? this.#link.obtain(paths) : this.#link.connect(paths));
    const patienceMs = 2 * timeoutMs + GRACE_MS; // a copy is waited for first
    const answer = await this.#link.ask(way, "stop", { timeoutMs }, { timeoutMs: patienceMs });
    const isDown = () => this.#lookAtFiles().then(() => !isHeld(this.status.phase));
    if (answer === null && !(await isSoonOver(isDown))) throw unreachedError(this.spec);
  }

  async pause(): Promise<void> {
    await this.#ask("pause");
  }

  async resume(): Promise<void> {
    await this.#ask("resume");
  }

  async remove(): Promise<void> {
    if (this.#isGone) return;
    const { spec, state } = this;
    const paths = this.#paths;
    if (paths !== null) {
      const isDeaf = await isStopped(this.#record.owner);
      const way = async () => (isDeaf ? null : this.#link.connect(paths).catch(() => null));
      await this.#link.ask(way, "remove", {}, { timeoutMs: GRACE_MS }).catch(unlessSilent);
      this.#link.close();
      await removeUnheld(state, spec.name, spec.id);
      if (spec.persistent) await waitForEnd(this.#record.owner);
    }
    this.#follow("deleted", "");
  }

  async describe(): Promise<VMInfo> {
    const way = async () => (this.#untold.take() ? null : this.#link.connect(this.#paths).catch(() => null));
    const said = await this.#link.ask(way, "describe", {}, { timeoutMs: DESCRIBE_MS }).catch(() => null);
    if (said) return said.value as VMInfo;
    if (this.#paths !== null) await this.#lookAtFiles();
    if (this.#paths !== null)
      return describeStored({ name: this.spec.name, paths: this.#paths, record: this.#record });
    const { status, reason } = this.status.shown;
    const seen = { status, reason: reason ?? "", figures: null };
    return describeRecord(this.#record, seen, { folder: null, diskBytes: 0 });
  }

  async settled(): Promise<void> {
    await this.#starting?.catch(() => {});
    if (this.#link.isOpen || this.#paths === null || this.#isGone) return;
    const silence = await this.#look();
    if (silence) throw silence;
    // The process that holds it lets nobody in before it is up for the first time.
    const isComingUp = () => !this.#link.isOpen && this.status.phase === "starting";
    const isOver = () => this.#look().then(() => !isComingUp());
    if (isComingUp()) await isSoonOver(isOver, FIRST_START_MS);
  }

  reach(verb: string): Reached {
    const { reached } = this.#guest;
    if (reached === null) throw this.status.refusal(verb);
    return reached;
  }

  async snapshot(wanted: string | undefined, options: CopyCallOptions): Promise<SnapshotInfo> {
    const { name, timeoutMs, signal } = parseSnapshotCall(wanted, options);
    const answer = await this.#ask("snapshot", { name, timeoutMs }, { timeoutMs, signal });
    return answer as SnapshotInfo;
  }

  async copy(verb: string, { timeoutMs, signal }: CopyOptions): Promise<SavedMachine> {
    return decodeSavedMachine(await this.#ask("copy", { verb, timeoutMs }, { timeoutMs, signal }));
  }

  async close(): Promise<void> {
    await this.#guest.close();
    this.#link.close();
  }

  get #isGone(): boolean {
    return this.status.phase === "deleted";
  }

  async #start(options: StartOptions): Promise<void> {
    const { timeoutMs, sinceMs, signals } = parseStart(options, this.#surroundings);
    if (this.#isGone) throw this.status.refusal("start");
    const progress = new ProgressGuard(options.onProgress ?? this.#surroundings.onProgress);
    const signal = AbortSignal.any([progress.signal, ...signals]);
    const paths = this.#paths ?? (await this.#claim());
    const origin = this.#origin;
    try {
      const spentMs = () => performance.now() - sinceMs; // a supervisor is started first
      const args = () => ({ timeoutMs, spentMs: spentMs(), ...(origin && { origin }) });
      const asked = { timeoutMs: null, signal, onProgress: progress.report as never };
      await this.#link.ask(() => this.#obtain(paths), "start", args, asked);
      if (this.#record.boot) traceBoot(this.spec, this.#record.boot.report);
    } catch (error) {
      const isKept = this.#link.isOpen && this.status.phase === "error"; // its QEMU could not be ended
      if (!this.#record.wasBooted && !isKept) await this.#unclaim();
      throw progress.explain(error);
    }
  }

  async #obtain(paths: MachinePaths): Promise<HolderConnection> {
    if (this.spec.persistent) return this.#link.obtain(paths);
    const holder = await this.#link.connect(paths);
    if (holder) return holder;
    throw this.status.refusal("start"); // its program has ended, and so has the machine
  }

  /** From now on the name is this machine's. Until it has been up once, it goes with this process. */
  async #claim(): Promise<MachinePaths> {
    const status = { phase: "created", reason: "", since: new Date().toISOString() } as const;
    this.#record = { ...this.#record, status, owner: await findSelf() };
    this.#paths = await claimMachineFolder(this.state, this.#record);
    return this.#paths;
  }

  /** A machine that has never been up leaves nothing. */
  async #unclaim(): Promise<void> {
    this.#link.close();
    await removeUnheld(this.state, this.spec.name, this.spec.id).catch((error) =>
      this.logger.warn?.(String(error)),
    );
    this.#paths = null;
    this.#follow("created", "");
  }

  /** Something that only a machine can do that is up, or about to be. */
  async #ask(
    operation: "pause" | "resume" | "mend" | "snapshot" | "copy",
    args: object = {},
    { timeoutMs = 0, signal }: Partial<CopyOptions> = {},
  ): Promise<unknown> {
    await this.settled();
    const bounds = { timeoutMs: timeoutMs + GRACE_MS, namedMs: timeoutMs || GRACE_MS, signal };
    const way = async () => (this.#paths && !this.#isGone ? this.#link.connect(this.#paths) : null);
    const answer = await this.#link.ask(way, operation, args, bounds);
    if (answer === null && isHeld(this.status.phase)) throw unreachedError(this.spec);
    if (answer === null) throw this.status.refusal(operation === "copy" ? "fork" : operation);
    return answer.value;
  }

  #hear(news: News): void {
    if (news.kind === "shared") this.#guest.share(news.others);
    if (news.kind !== "record" && news.kind !== "deleted") return;
    this.#answered = ++this.#asked;
    if (news.kind === "deleted") return void this.#follow("deleted", news.reason);
    this.#record = parseMachineRecord(news.record);
    const { phase, reason, since } = this.#record.status;
    this.#follow(phase, reason, since);
  }

  /** Of others that use the machine from now on this process does not hear. */
  #lost(): void {
    this.#guest.share(true);
    void this.#lookUntilOver().catch(() => {});
  }

  /** The holder has hung up: what it writes down last may be still to come. */
  async #lookUntilOver(): Promise<void> {
    await isSoonOver(async () => {
      if (this.#isGone || this.#link.isOpen) return true;
      const isOver = await this.#isOwnerDead(); // asked first: what is seen after its death is the last
      await this.#lookAtFiles();
      return isOver;
    });
  }

  /** What the files tell, unless something later has been heard meanwhile, or a call has taken the folder back. */
  async #lookAtFiles(): Promise<void> {
    const paths = this.#paths;
    const turn = ++this.#asked;
    const { phase, reason, record } = await readStanding(this.state, this.spec);
    if (this.#paths !== paths || turn < this.#answered) return;
    this.#answered = turn;
    this.#record = record ?? this.#record;
    this.#follow(phase, reason);
  }

  async #isOwnerDead(): Promise<boolean> {
    return this.#paths === null || (await judgeOwner(this.#record, this.#paths)).life === "dead";
  }

  #follow(phase: Phase, reason: string, since = new Date().toISOString()): void {
    if (phase === "deleted") this.#paths = null;
    const isUp = phase === "running" || phase === "paused";
    this.#guest.follow(
      isUp ? this.#record.boot : null,
      reason || (phase === "deleted" ? "the machine was deleted" : ""),
    );
    this.status.follow(phase, reason, since);
  }
}
