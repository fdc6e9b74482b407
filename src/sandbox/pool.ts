import { availableParallelism, freemem } from "node:os";
import { inspect } from "node:util";
import { VMStateError } from "../errors.ts";
import { checkOptionKeys, parseSignal, refuse } from "../util/options.ts";
import { showAs } from "./command/shown.ts";
import { guardLogger } from "./machine/callbacks.ts";
import type { SmolVMOptions } from "./machine/options.ts";
import { parseSpec } from "./machine/spec.ts";
import { Stock } from "./stock.ts";
import { isResponsive, SmolVM } from "./vm.ts";

export interface SmolVMPoolOptions extends Omit<SmolVMOptions, "name" | "persistent"> {
  /** How many machines wait ready: 1 to 256. */
  size: number;
}

export interface AcquireOptions {
  /** Aborting it ends the wait for a machine. */
  signal?: AbortSignal;
}

const MOST_MACHINES = 256;
const MIB = 1024 * 1024;
/** How long a machine may take to show that it still answers before it is handed out. */
const HEALTH_MS = 1000;

/**
 * Machines that are started, connected and warm before they are wanted. Each is handed out once and is then the caller's, to be
 * deleted like any other; the pool starts others in the background, on half of the host's processors at most, and only
 * while the host has memory for one more.
 */
export class SmolVMPool implements AsyncDisposable {
  readonly #stock: Stock<SmolVM>;
  readonly #size: number;
  #isClosed = false;

  /** Begins to fill. ValidationError names what is wrong with the options. */
  constructor(options: SmolVMPoolOptions) {
    const { size, ...machineOptions } = parsePool(options);
    this.#size = size;
    const { memoryMib } = parseSpec(machineOptions);
    const { warn = () => {} } = guardLogger(machineOptions.logger);
    this.#stock = new Stock<SmolVM>({
      size,
      mostAtOnce: Math.max(1, Math.floor(availableParallelism() / 2)),
      hasRoom: () => freemem() > 2 * memoryMib * MIB,
      make: (closing) => startWarm(machineOptions, closing),
      isSound: (vm) => isResponsive(vm, HEALTH_MS),
      discard: (vm) =>
        vm.delete().catch((error) => warn(`A machine of the pool was not removed whole: ${error}`)),
      onFailure: (error) => warn(`The pool could not start a machine: ${error}`),
    });
  }

  /** How many machines are ready at this moment. */
  get readyCount(): number {
    return this.#stock.readyCount;
  }

  /** A running machine that answers; where none is ready, the next that is. Rejects with what starting one threw, VMStateError once the pool is closed. */
  async acquire(options: AcquireOptions = {}): Promise<SmolVM> {
    checkOptionKeys(options, ["signal"], "acquire()");
    const signal = parseSignal(options.signal) ?? new AbortController().signal;
    return await this.#stock.take(signal);
  }

  /** Deletes the machines that nobody has acquired, and starts no more. Twice is fine. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#stock.close(
      new VMStateError("The pool is closed.", { remediation: "Make a new SmolVMPool." }),
    );
  }

  /** What `console.log` shows: nothing of its options, which may hold secrets. */
  [inspect.custom](): string {
    const status = this.#isClosed ? "closed" : "open";
    return showAs("SmolVMPool", { size: this.#size, readyCount: this.readyCount, status });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function parsePool(options: SmolVMPoolOptions): SmolVMPoolOptions {
  if (typeof options !== "object" || options === null)
    throw refuse("options", options, "an object with a size");
  const { size, ports } = options;
  if (typeof size !== "number" || !Number.isInteger(size) || size < 1 || size > MOST_MACHINES)
    throw refuse("size", size, `a whole number from 1 to ${MOST_MACHINES}`);
  for (const key of ["name", "persistent"] as const) {
    const given = (options as SmolVMOptions)[key];
    if (given !== undefined && given !== false)
      throw refuse(key, given, "left out: the machines of a pool have names of their own and are used once");
  }
  if (Array.isArray(ports) && ports.some((port) => Object(port).host !== undefined))
    throw refuse("ports", ports, "without host ports: each machine of a pool takes free ones");
  return options;
}

/** Each kind of shell is used once, so that its code is translated and its files are in memory, before and after the connection stands. */
async function startWarm(options: SmolVMOptions, closing: AbortSignal): Promise<SmolVM> {
  const signal = options.signal ? AbortSignal.any([options.signal, closing]) : closing;
  const vm = await SmolVM.create({ ...options, signal });
  try {
    await vm.run("true", { signal });
    await vm.waitForSsh({ signal });
    await vm.run("true", { shell: "raw", signal });
    await vm.run("true", { signal });
    return vm;
  } catch (error) {
    await vm.delete();
    throw error;
  }
}
