import type { Socket } from "node:net";
import { paceStream } from "../../util/pace.ts";
import { ConnectionLostError, type OutputSink, type SshChannel } from "./channel.ts";

/** The host's side of two serial ports of a guest, by which a worker talks before there is an SSH connection. */
export interface SerialPorts {
  /** The worker's stdin and stdout. */
  readonly main: Socket;
  /** Its stderr. */
  readonly errors: Socket;
  /** Resolves when nobody in the guest holds one of them any more, or the machine is gone. */
  readonly closed: Promise<void>;
  /** Resolves when that is so of both: another shell may come to them. */
  readonly free: Promise<void>;
}

/**
 * What a worker needs of a channel, over serial ports: these have no end of input and no exit status. `said` is what the
 * guest had written before.
 */
export function serialChannel({ main, errors, closed }: SerialPorts, said: string): SshChannel {
  let sink: OutputSink = () => true;
  let isGone = false;
  const pass = (stream: "stdout" | "stderr") => (bytes: Buffer) => {
    if (sink(stream, bytes)) return;
    main.pause();
    errors.pause();
  };
  const [passOutput, passErrors] = [pass("stdout"), pass("stderr")];
  const gone = closed.then(() => {
    isGone = true;
    // Another shell may come to these ports: what is still in them is not for it.
    main.off("data", passOutput);
    errors.off("data", passErrors);
    for (const port of [main, errors]) discard(port);
    return null;
  });
  const write = (bytes: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      const lost = () => reject(new ConnectionLostError("the guest's serial port is closed"));
      if (isGone || !main.writable) return lost();
      void gone.then(lost);
      main.write(bytes, (error) => (error ? lost() : resolve()));
    });
  return {
    setSink(newSink) {
      sink = newSink;
      if (said !== "") sink("stdout", Buffer.from(said));
      for (const port of [main, errors]) keep(port);
      main.on("data", passOutput);
      errors.on("data", passErrors);
    },
    resume() {
      main.resume();
      errors.resume();
    },
    write,
    end: () => void write(GOODBYE).catch(() => {}),
    resize: () => {},
    close: () => {},
    exited: gone,
    closed: gone.then(() => {}),
  };
}

/** No faster than this is read what nobody wants. */
const DISCARDED_EACH_SECOND = 1024 * 1024;
/** What is read of each port, as long as no channel reads it. */
const discarding = new WeakMap<Socket, () => void>();

function discard(port: Socket): void {
  keep(port);
  const spend = paceStream(port, DISCARDED_EACH_SECOND);
  const drop = (bytes: Buffer) => spend(bytes.length);
  discarding.set(port, () => port.off("data", drop));
  port.on("data", drop).resume();
}

function keep(port: Socket): void {
  discarding.get(port)?.();
  discarding.delete(port);
}

/** What reads in the worker, its child or itself, ends at one of these. */
const GOODBYE = Buffer.from("exit\nquit\n");
