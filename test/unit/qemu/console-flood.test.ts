import { Duplex, PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { GuestConsole } from "../../../src/qemu/console.ts";
import type { GuestMessage } from "../../../src/qemu/console-words.ts";
import { QmpClient } from "../../../src/qemu/qmp/client.ts";

/** Says this again and again as long as it is read, and another thing at last. */
class Flood extends Duplex {
  given = 0;
  last: string | null = null;
  readonly #chunk: Buffer;

  constructor(unit: string, size = 64 * 1024) {
    super({ highWaterMark: 1 });
    this.#chunk = Buffer.from(unit.repeat(Math.ceil(size / unit.length)));
  }

  override _read(): void {
    setImmediate(() => {
      const last = this.last;
      this.last = "";
      if (last === "") return;
      this.given += this.#chunk.length;
      this.push(last === null ? this.#chunk : Buffer.from(last));
      if (last === null) this.last = null;
    });
  }

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/** Answers to the first command. */
class QmpFlood extends Flood {
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    this.push('{"return":{},"id":1}\n');
    done();
  }
}

const quiet = () => new PassThrough();

describe("a guest that prints without end", () => {
  it.each([
    ["long lines", `${"x".repeat(4000)}\n`, 12e6],
    ["empty lines", "\n", 1e6],
    ["lines like ours", "smolvm: progress 1\n", 4e6],
  ])("is read no faster than the host has time for: %s", async (_, unit, mostBytes) => {
    const flood = new Flood(unit);
    const guest = new GuestConsole(flood, quiet());
    const messages: GuestMessage[] = [];
    guest.onMessage((message) => messages.push(message));
    await sleep(1_500);
    expect(flood.given).toBeGreaterThan(0);
    expect(flood.given).toBeLessThan(mostBytes);
    flood.last = "\nsmolvm: ready\n";
    for (let i = 0; i < 50 && guest.lastMessage?.kind !== "ready"; i++) await sleep(100);
    expect(guest.lastMessage).toEqual({ kind: "ready" });
    guest.close();
  });

  it("at the port at which it hears who it is, is read at a trickle", async () => {
    const flood = new Flood(`${"smolvm: failed:".repeat(540)}\u2028x\n`);
    const guest = new GuestConsole(quiet(), flood);
    await sleep(1_500);
    expect(flood.given).toBeGreaterThan(0);
    expect(flood.given).toBeLessThan(2e6);
    guest.close();
  });

  it("that has QEMU tell of events without end costs the host little", async () => {
    const greeting = '{"QMP":{"version":{"qemu":{"major":9,"minor":0,"micro":0}}}}\n';
    const event =
      '{"event":"VSERPORT_CHANGE","data":{"id":"a","open":true},"timestamp":{"seconds":1,"microseconds":1}}\n';
    const flood = new QmpFlood(event);
    flood.unshift(Buffer.from(greeting));
    const client = await QmpClient.connect(flood);
    let events = 0;
    client.onEvent(() => events++);
    await sleep(1_500);
    expect(events).toBeGreaterThan(0);
    expect(events).toBeLessThan(20_000);
    client.close();
  });
});
