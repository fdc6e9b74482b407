import { Duplex } from "node:stream";
import { QmpClient } from "../../src/qemu/qmp/client.ts";

export const GREETING = { QMP: { version: { qemu: { micro: 22, minor: 2, major: 7 }, package: "" } } };
export const timestamp = { seconds: 1, microseconds: 0 };

export interface Command {
  execute: string;
  id: number;
  arguments: Record<string, unknown>;
}

/** The other side of the conversation, in memory: hears commands, says what the test wants. */
export class Peer extends Duplex {
  readonly heard: Command[] = [];
  answer: (command: Command) => void;

  constructor(answer?: (command: Command, peer: Peer) => void) {
    super({ allowHalfOpen: false });
    this.answer = (command) => (answer ? answer(command, this) : this.say({ return: {}, id: command.id }));
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    for (const line of chunk.toString().trim().split("\n")) {
      const command = JSON.parse(line) as Command;
      this.heard.push(command);
      this.answer(command);
    }
    done();
  }

  say(...messages: object[]): void {
    for (const message of messages) this.push(`${JSON.stringify(message)}\r\n`);
  }
}

export async function connected(answer?: (command: Command, peer: Peer) => void): Promise<[QmpClient, Peer]> {
  const peer = new Peer((command) =>
    command.execute === "qmp_capabilities" || !answer
      ? peer.say({ return: {}, id: command.id })
      : answer(command, peer),
  );
  peer.say(GREETING);
  return [await QmpClient.connect(peer), peer];
}
