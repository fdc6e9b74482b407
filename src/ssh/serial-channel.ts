import type { Socket } from "node:net";
import { ConnectionLostError, type OutputSink, type SshChannel } from "./channel.ts";

/** The host's side of two serial ports of a guest, by which a worker talks before there is an SSH connection. */
export interface SerialPorts {
  /** The worker's stdin and stdout. */
  readonly main: Socket;
  /** Its stderr. */
  readonly errors: Socket;
  /** Resolves when nobody in the guest holds one of them any more, or the machine is gone. */
  readonly closed: Promise<void>;
  /** Resolves when nobody holds the other one either. */
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
    // Another shell may come to these ports.
    main.off("data", passOutput).resume();
    errors.off("data", passErrors).resume();
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

/** Whoever reads in the worker, its child or itself, ends at one of these. */
const GOODBYE = Buffer.from("exit\nquit\n");
