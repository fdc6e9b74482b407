import { rm } from "node:fs/promises";
import type { Server, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { identifySocket, listDeadDrafts, listenAt } from "../../host/local-socket.ts";
import { discardDraftFolder } from "../../state/draft-folder.ts";
import { bounded } from "../../util/bounded.ts";
import { hostTrouble } from "../machine/host-trouble.ts";
import type { Machine } from "../machine/machine.ts";
import { encodeError } from "../remote/errors.ts";
import { ALIVE_MS, onRequest, PROTOCOL, type Reply, type Request, send } from "../remote/protocol.ts";
import { operations } from "./operations.ts";

/**
 * How long another user of the machine may take to hear of a new one. Who does not hear it is busy, or stopped: it hears of it first
 * when it listens again, and is not waited for until then.
 */
const HEARD_MS = 1_000;
/** How long the last answers may take once the machine is gone. */
const FAREWELL_MS = 2_000;

interface Client {
  readonly socket: Socket;
  readonly calls: Map<number, AbortController>;
  /** Folders of copies that it has not yet removed. */
  readonly copies: Set<string>;
  readonly waitsFor: Map<number, () => void>;
  /** It has its first record; until then it hears of no other. */
  isGreeted: boolean;
  /** It did not hear the last time. */
  isDeaf: boolean;
}

/** Lets other processes use a machine that this one holds. */
export class MachineServer {
  readonly #machine: Machine;
  readonly #clients = new Set<Client>();
  readonly #onLeave: () => void;
  #server: Server | null = null;
  #lastId = 0;
  #unshare = () => {};
  #isClosed = false;

  /** `onLeave` hears when a client has gone and all that it had asked for is over. */
  constructor(machine: Machine, onLeave: () => void = () => {}) {
    this.#machine = machine;
    this.#onLeave = onLeave;
    machine.records.onRecord((record) =>
      this.#tellAll({ kind: "record", protocol: PROTOCOL, record }, ({ isGreeted }) => isGreeted),
    );
    machine.status.onChange(() => {
      if (machine.status.phase === "deleted") void this.#sayGoodbye();
      if (machine.status.phase === "running") this.#share();
    });
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  async listen(): Promise<void> {
    const { folder } = this.#machine;
    if (folder === null) return;
    await clearDrafts(folder.control).catch(() => {}); // a machine can be used all the same
    this.#server = await listenAt(folder.control, (socket) => void this.admit(socket));
    // In another container no process id tells of this one, but the socket does.
    const socket = await identifySocket(folder.control).catch(() => undefined);
    if (this.#machine.owner) this.#machine.owner = { ...this.#machine.owner, socket };
    this.#machine.records.note(this.#machine);
  }

  /** Each one that uses the machine already hears of it before the newcomer can run anything. */
  async admit(socket: Socket): Promise<void> {
    if (this.#isClosed) return void socket.destroy(); // the client finds the process that holds it next
    const [calls, copies, waitsFor] = [new Map(), new Set<string>(), new Map()];
    const client: Client = { socket, calls, copies, waitsFor, isGreeted: false, isDeaf: false };
    const others = [...this.#clients];
    this.#clients.add(client);
    socket.unref();
    onRequest(socket, (request) => void this.#hear(client, request));
    if (socket.closed) return this.#leave(client); // it will not tell again
    socket.once("close", () => void this.#leave(client));
    this.#share();
    await Promise.all(others.map((other) => this.#tellShared(other, true)));
    await this.#tellShared(client, this.#isShared(client));
    await this.#greet(client);
  }

  async #greet(client: Client): Promise<void> {
    await this.#machine.records.tellFirst(this.#machine, (record) => {
      send(client.socket, { kind: "record", protocol: PROTOCOL, record });
      client.isGreeted = true;
    });
  }

  /** Nobody else is let in, and those who are here are hung up on. */
  close(): void {
    this.#isClosed = true;
    this.#server?.close();
    for (const { socket } of this.#clients) socket.destroySoon(); // one that was stopped by a signal would never hang up
  }

  /** After the last answer. */
  async #sayGoodbye(): Promise<void> {
    this.#tellAll({ kind: "deleted", reason: this.#machine.status.reason });
    await this.#machine.removing?.catch(() => {});
    const isBusy = () => [...this.#clients].some(({ calls }) => calls.size > 0);
    for (const endMs = performance.now() + FAREWELL_MS; isBusy() && performance.now() < endMs; )
      await sleep(5);
    this.close();
  }

  /** The program that made an ephemeral machine may run commands itself; a supervisor never does. */
  #isShared(client: Client): boolean {
    return !this.#machine.spec.persistent || [...this.#clients].some((each) => each !== client);
  }

  #share(): void {
    this.#unshare();
    this.#unshare = () => {};
    if (this.#clients.size > 0) this.#unshare = this.#machine.booted?.runner?.share() ?? (() => {});
  }

  async #tellShared(client: Client, others: boolean): Promise<void> {
    if (!client.socket.writable) return;
    const id = ++this.#lastId;
    const heard = new Promise<void>((resolve) => client.waitsFor.set(id, resolve));
    send(client.socket, { kind: "shared", id, others });
    if (!client.isDeaf)
      await bounded(heard, { operation: "", timeoutMs: HEARD_MS }).catch(() => {
        client.isDeaf = true;
      });
  }

  #tellAll(reply: Reply, isMeant: (client: Client) => boolean = () => true): void {
    for (const client of this.#clients) if (isMeant(client)) send(client.socket, reply);
  }

  async #hear(client: Client, request: Request): Promise<void> {
    if (request.kind === "cancel") return client.calls.get(request.id)?.abort();
    if (request.kind === "heard") {
      client.waitsFor.get(request.id)?.();
      client.waitsFor.delete(request.id);
      client.isDeaf = client.waitsFor.size > 0;
      return;
    }
    if (this.#isClosed) return; // this process is about to end, and what it began would end with it
    const { id, operation, args } = request;
    const abort = new AbortController();
    client.calls.set(id, abort);
    const { socket } = client;
    send(socket, { kind: "taken", id });
    socket.ref(); // the process that holds the machine is not to end during this
    const alive = setInterval(() => send(socket, { kind: "alive" }), ALIVE_MS);
    try {
      const value = await operations[operation](this.#machine, args, {
        signal: abort.signal,
        onProgress: (progress) => send(socket, { kind: "progress", id, progress }),
        keepCopy: (folder) => client.copies.add(folder),
      });
      await this.#machine.records.settled(); // the caller is to see first what has changed
      send(socket, { kind: "result", id, value });
    } catch (error) {
      await this.#machine.records.settled();
      send(socket, { kind: "error", id, error: encodeError(hostTrouble(error)) });
    } finally {
      clearInterval(alive);
      client.calls.delete(id);
      if (client.calls.size === 0) socket.unref();
    }
  }

  /** What it had asked for has nobody to answer to any more. */
  async #leave(client: Client): Promise<void> {
    for (const abort of client.calls.values()) abort.abort();
    for (const heard of client.waitsFor.values()) heard();
    while (client.calls.size > 0) await sleep(10);
    for (const folder of client.copies) await discardDraftFolder(folder);
    this.#clients.delete(client);
    this.#share();
    for (const other of this.#clients) void this.#tellShared(other, this.#isShared(other));
    this.#onLeave();
  }
}

/** What those left who held the machine before, and were killed as they began to listen. */
async function clearDrafts(control: string): Promise<void> {
  for (const draft of await listDeadDrafts(control)) await rm(draft, { force: true });
}
