import type { Writable } from "node:stream";
import { inspect } from "node:util";
import { CommandFailedError, type CommandResult, ValidationError } from "../../errors.ts";
import type { Command } from "../../ssh/command/command.ts";
import { type CommandRunner, startCommand } from "../../ssh/command/command-runner.ts";
import { SIGNAL_NAMES } from "../../ssh/spec/signals.ts";
import { StdinPipe } from "../../ssh/spec/stdin-pipe.ts";
import type { TerminalSize } from "../../ssh/spec/terminal.ts";
import type { Named } from "../../util/names.ts";
import { refuse } from "../../util/options.ts";
import { shortCommand } from "../../util/short-command.ts";
import { tameWords } from "../../util/tame.ts";
import { traceCommand } from "../machine/diagnostics.ts";
import { type OutputChunk, OutputQueue } from "./output-queue.ts";
import { parseCells, parseRun, type RunOptions, type RunPlan } from "./run-options.ts";
import { type Facts, showAs, watchEnding } from "./shown.ts";

/** What a command needs of its machine. */
export interface CommandContext {
  readonly runner: CommandRunner;
  readonly vm: Named;
}

/** The same error, which may say more. */
type Explain = (error: unknown) => Promise<unknown>;

/**
 * A command under way. Await it for its result; iterate it for its output as it comes, in the order of its arrival.
 * Leaving the iteration early kills the command. A Run that is neither awaited nor iterated and fails is an unhandled
 * rejection like that of any promise; iterating it, or `catch`, is handling it.
 */
export class Run implements Promise<CommandResult>, AsyncIterable<OutputChunk> {
  readonly [Symbol.toStringTag] = "Run";
  readonly #output = new OutputQueue(
    () => this.#command?.resume(),
    (error) => this.#command?.stop({ kind: "failed", error }),
  );
  readonly #command: Command | null;
  readonly #result: Promise<CommandResult>;
  readonly #stdin: Writable | null;
  readonly #facts: () => Facts;
  readonly #explain: Explain;

  /** Bad arguments are what the run rejects with; nothing is sent then. */
  constructor(
    getContext: () => Promise<CommandContext>,
    command: string | readonly string[],
    options?: RunOptions,
    explain: Explain = async (error) => error,
  ) {
    this.#explain = explain;
    const plan = tryParse(command, options);
    if (plan instanceof ValidationError) {
      this.#command = null;
      this.#stdin = null;
      this.#facts = () => ({ status: "failed", error: plan.code });
      this.#result = Promise.reject(plan);
      this.#output.end();
      return;
    }
    const { stdin } = plan.spec;
    this.#stdin = stdin.kind === "held" && stdin.source instanceof StdinPipe ? stdin.source : null;
    const context = getContext();
    this.#output.listen(plan.onStdout, plan.onStderr);
    this.#command = startCommand(
      context.then(({ runner }) => runner),
      plan.spec,
      (stream, bytes) => this.#output.take(stream, bytes),
      () => this.#output.settled(),
    );
    const facts = watchEnding(this.#command.result);
    this.#facts = () => ({ command: shortCommand(plan.spec.command), ...facts() });
    this.#result = this.#settle(this.#command, plan.check);
    traceCommand(plan.spec, context, this.#command.result);
  }

  /** The command's input; null unless the option `stdin: "pipe"` was given. */
  get stdin(): Writable | null {
    return this.#stdin;
  }

  /** Sends a signal to every process that the command started. */
  kill(signal: string = "SIGTERM"): void {
    if (!SIGNAL_NAMES.includes(signal)) throw refuse("signal", signal, `one of ${SIGNAL_NAMES.join(", ")}`);
    this.#command?.kill(signal);
  }

  /** Tells the command in its terminal of a new size. Without a terminal it does nothing. */
  resize({ columns, rows }: TerminalSize): void {
    this.#command?.resize({ columns: parseCells("columns", columns), rows: parseCells("rows", rows) });
  }

  // biome-ignore lint/suspicious/noThenProperty: a Run is awaitable by design
  then<A = CommandResult, B = never>(
    onResult?: ((result: CommandResult) => A | PromiseLike<A>) | null,
    // biome-ignore lint/suspicious/noExplicitAny: as with every promise, a caller may say which errors it looks at
    onError?: ((error: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#output.letFlow();
    return this.#result.then(onResult, onError);
  }

  // biome-ignore lint/suspicious/noExplicitAny: the same
  catch<B = never>(onError?: ((error: any) => B | PromiseLike<B>) | null): Promise<CommandResult | B> {
    return this.then(null, onError);
  }

  finally(onEnd?: (() => void) | null): Promise<CommandResult> {
    this.#output.letFlow();
    return this.#result.finally(onEnd);
  }

  [Symbol.asyncIterator](): AsyncIterator<OutputChunk> {
    this.#result.catch(() => {}); // the loop throws it
    this.#output.claim();
    return this.#iterate();
  }

  /** What `console.log` shows: nothing of its options, which may hold secrets. */
  [inspect.custom](): string {
    return showAs("Run", this.#facts());
  }

  async #settle(command: Command, check: boolean): Promise<CommandResult> {
    try {
      const result = await command.result;
      if (check && !result.ok)
        throw new CommandFailedError(result, { lastWords: lastLineOf(result.stderrBytes) });
      return result;
    } catch (error) {
      throw await this.#explain(error);
    } finally {
      this.#output.close();
    }
  }

  async *#iterate(): AsyncGenerator<OutputChunk, void, void> {
    let isComplete = false;
    try {
      for (let chunk = await this.#output.next(); chunk; chunk = await this.#output.next()) yield chunk;
      isComplete = true;
      await this.#result;
    } finally {
      if (!isComplete) {
        this.#output.abandon();
        this.#command?.stop({ kind: "killed" });
        await this.#result.catch(() => {});
      }
    }
  }
}

const LAST_BYTES = 4096;

/** The last line that is not empty. */
function lastLineOf(stderr: Uint8Array): string {
  const end = Buffer.from(stderr.subarray(-LAST_BYTES)).toString("utf8");
  return tameWords(end.trim().split("\n").at(-1) ?? "");
}

function tryParse(command: unknown, options: RunOptions | undefined): RunPlan | ValidationError {
  try {
    return parseRun(command, options);
  } catch (error) {
    if (error instanceof ValidationError) return error;
    throw error;
  }
}
