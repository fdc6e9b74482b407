import type { MachinePaths, StatePaths } from "../../state/paths.ts";
import type { Handle, Reached } from "../machine/handle.ts";
import { describeStored, type VMInfo } from "../machine/info.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { parseSpec } from "../machine/spec.ts";
import { StatusCell } from "../machine/status.ts";
import { badRecordError } from "./bad-record.ts";
import { removeUnheld } from "./unheld.ts";

/** A machine whose record can't be read: it can be looked at and deleted, nothing else. */
export class DamagedMachine implements Handle {
  readonly spec: MachineSpec;
  readonly state: StatePaths;
  readonly status: StatusCell;
  readonly logger = {};
  readonly paths: MachinePaths;
  readonly #problem: string;

  constructor(state: StatePaths, name: string, paths: MachinePaths, problem: string) {
    this.spec = { ...parseSpec({ name, persistent: true }), id: "" };
    this.state = state;
    this.status = new StatusCell(name);
    this.status.follow("error", problem, new Date().toISOString());
    this.paths = paths;
    this.#problem = problem;
  }

  async start(): Promise<void> {
    this.#refuse();
  }

  async stop(): Promise<void> {
    this.#refuse();
  }

  async pause(): Promise<void> {
    this.#refuse();
  }

  async resume(): Promise<void> {
    this.#refuse();
  }

  async remove(): Promise<void> {
    await removeUnheld(this.state, this.spec.name, this.spec.id);
    this.status.follow("deleted", "", new Date().toISOString());
  }

  async describe(): Promise<VMInfo> {
    return describeStored({
      name: this.spec.name,
      paths: this.paths,
      record: { problem: this.#problem, isNewer: false },
    });
  }

  async settled(): Promise<void> {}

  reach(): Reached {
    return this.#refuse();
  }

  async snapshot(): Promise<never> {
    return this.#refuse();
  }

  async copy(): Promise<never> {
    return this.#refuse();
  }

  async close(): Promise<void> {}

  #refuse(): never {
    throw badRecordError(this.spec.name, this.paths, { problem: this.#problem, isNewer: false });
  }
}
