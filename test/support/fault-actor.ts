import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("fault-actor.mjs", import.meta.url));

interface FailedCall {
  readonly name: string;
  readonly code?: string;
  readonly message: string;
  readonly stack: string;
  /** One of the library's own errors, which say what helps. */
  readonly isOurs: boolean;
}

/** How a call went. "died": the program ended meanwhile; "silent": it did not come back in time. */
export type Outcome =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "error"; readonly error: FailedCall }
  | { readonly kind: "died" | "silent" };

/** What a call may take on a host that is busy. */
const PATIENCE_MS = 100_000;

/** A program of its own that uses the library as it is told: see fault-actor.mjs. */
export class Actor {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, (outcome: Outcome) => void>();
  #lastId = 0;
  #isDead = false;
  #words = "";

  constructor(env: NodeJS.ProcessEnv, wrap: readonly string[] = []) {
    const [file = "", ...args] = [...wrap, env.SMOLVM_FAULT_NODE ?? process.execPath, PROGRAM];
    this.#child = spawn(file, args, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdin?.on("error", () => {});
    this.#child.stderr?.on("data", (chunk) => {
      this.#words += chunk;
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (line) =>
      this.#hear(line),
    );
    this.#child.once("exit", () => {
      this.#isDead = true;
      for (const settle of this.#pending.values()) settle({ kind: "died" });
      this.#pending.clear();
    });
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** What it said on stderr: nothing, as long as the library keeps its promises. */
  get words(): string {
    return this.#words;
  }

  async call(verb: string, ...args: readonly unknown[]): Promise<Outcome> {
    if (this.#isDead) return { kind: "died" };
    const id = ++this.#lastId;
    const outcome = new Promise<Outcome>((resolve) => {
      const timer = setTimeout(() => resolve({ kind: "silent" }), PATIENCE_MS);
      this.#pending.set(id, (how) => {
        clearTimeout(timer);
        resolve(how);
      });
    });
    this.#child.stdin?.write(`${JSON.stringify({ id, verb, args })}\n`);
    return outcome;
  }

  /** What the call gives; its error is thrown, and so is an end or a silence. */
  async ask<T>(verb: string, ...args: readonly unknown[]): Promise<T> {
    const outcome = await this.call(verb, ...args);
    if (outcome.kind === "value") return outcome.value as T;
    const called = `${verb}(${JSON.stringify(args).slice(1, -1)})`;
    if (outcome.kind === "error") throw new Error(`${called}: ${outcome.error.stack}`);
    throw new Error(
      `${called}: the program ${outcome.kind === "died" ? `died: ${this.#words}` : "says nothing"}`,
    );
  }

  async kill(): Promise<void> {
    if (this.#isDead) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  #hear(line: string): void {
    const { id, value, error } = JSON.parse(line);
    this.#pending.get(id)?.(error ? { kind: "error", error } : { kind: "value", value });
    this.#pending.delete(id);
  }
}
