import { SmolVMError } from "../../errors.ts";

/** Where in the conversation with QEMU it broke. */
export type QmpPhase = "greeting" | "negotiation" | "command" | "connection";

/** QEMU refused a command, or the conversation itself broke. */
export class QmpError extends SmolVMError {
  readonly phase: QmpPhase;
  /** QEMU's word for the kind of refusal, for example "GenericError"; absent where the conversation broke. */
  readonly errorClass?: string;

  constructor(phase: QmpPhase, message: string, options: { errorClass?: string; cause?: unknown } = {}) {
    super("QMP", message, {
      cause: options.cause,
      details: { phase, ...(options.errorClass === undefined ? {} : { errorClass: options.errorClass }) },
    });
    this.phase = phase;
    if (options.errorClass !== undefined) this.errorClass = options.errorClass;
  }
}
