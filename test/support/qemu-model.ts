import { setTimeout as sleep } from "node:timers/promises";
import type { CopyEnd } from "../../src/qemu/live-copy.ts";
import { type Command, connected, type Peer, timestamp } from "./qmp-peer.ts";

const ANSWER_MS = 3;

/** Lives as long as the test. */
const lives: CopyEnd["process"] = {
  whileAlive: (work) => work,
  exit: null,
  exited: new Promise(() => {}),
};

export interface ModelOptions {
  /** Called as QEMU comes to a command, before it does it. What it returns is waited for, and all later commands with it. */
  readonly onBegun?: (command: string) => unknown;
  /** The same when it has done it, before it answers. */
  readonly onDone?: (command: string) => unknown;
  readonly onAnswered?: (command: string) => void;
  /** The command that it refuses. */
  readonly refused?: string;
}

/** As much of QEMU as a copy needs: one command after the other, a guest that runs or stands, a migration, the nodes of a disk. */
export class QemuModel {
  state: "running" | "paused" | "postmigrate" = "running";
  migration = "none";
  /** Where the guest writes to. */
  top = "disk0";
  readonly nodes = new Set(["disk0"]);
  /** Each command as it comes to it. */
  readonly heard: string[] = [];
  readonly #options: ModelOptions;
  readonly #queue: Command[] = [];
  #isBusy = false;

  constructor(options: ModelOptions = {}) {
    this.#options = options;
  }

  async end(): Promise<CopyEnd & { readonly peer: Peer }> {
    const [qmp, peer] = await connected((command, to) => {
      this.#queue.push(command);
      if (!this.#isBusy) void this.#work(to);
    });
    return { process: lives, qmp, peer };
  }

  async #work(peer: Peer): Promise<void> {
    this.#isBusy = true;
    const { onBegun, onDone, onAnswered, refused } = this.#options;
    for (let command = this.#queue.shift(); command; command = this.#queue.shift()) {
      const { execute, id } = command;
      await onBegun?.(execute);
      this.heard.push(execute);
      const answer = execute === refused ? "not now" : this.#act(command, peer);
      await onDone?.(execute);
      await sleep(ANSWER_MS);
      const error = { class: "GenericError", desc: answer };
      peer.say(typeof answer === "string" ? { error, id } : { return: answer, id });
      onAnswered?.(execute);
    }
    this.#isBusy = false;
  }

  /** What it answers; a string is a refusal. */
  #act({ execute, arguments: given }: Command, peer: Peer): object | string {
    const becomes = (migration: string, state = this.state) =>
      setTimeout(() => {
        if (migration === "pre-switchover" && this.migration !== "active") return;
        Object.assign(this, { migration, state });
        peer.say({ event: "MIGRATION", data: { status: migration }, timestamp });
      }, ANSWER_MS * 2);
    if (execute === "query-status") return { status: this.state };
    if (execute === "query-migrate") return { status: this.migration };
    if (execute === "query-block")
      return [
        { qdev: "/machine/peripheral/disk0-device/virtio-backend", inserted: { "node-name": this.top } },
      ];
    if (execute === "stop") this.#stand(peer, "paused");
    if (execute === "cont") {
      this.state = "running";
      peer.say({ event: "RESUME", timestamp });
    }
    if (execute === "migrate") {
      this.migration = "active";
      becomes("pre-switchover");
    }
    if (execute === "migrate-continue") {
      if (this.migration !== "pre-switchover") return "Migration not in expected state";
      this.migration = "device";
      becomes("completed", "postmigrate");
    }
    if (execute === "migrate_cancel" && this.migration !== "device") {
      this.migration = "cancelling";
      becomes("cancelled");
    }
    if (execute === "blockdev-add") this.nodes.add(String(given["node-name"]));
    if (execute === "blockdev-snapshot") this.top = String(given.overlay);
    if (execute === "blockdev-del") {
      if (given["node-name"] === this.top) return `Node ${this.top} is in use`;
      this.nodes.delete(String(given["node-name"]));
    }
    return {};
  }

  #stand(peer: Peer, state: "paused"): void {
    this.state = state;
    peer.say({ event: "STOP", timestamp });
  }
}

/** It never says that it has everything. */
export async function fakeTarget(isDeaf = false): Promise<CopyEnd> {
  const [qmp] = await connected(({ id }, peer) => void (isDeaf || peer.say({ return: {}, id })));
  return { process: lives, qmp };
}
