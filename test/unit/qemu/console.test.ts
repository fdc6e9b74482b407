import { Duplex, PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { GuestConsole } from "../../../src/qemu/console.ts";
import { type GuestMessage, isBetweenUs, parseGuestMessage } from "../../../src/qemu/console-words.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

describe("what the host says there", () => {
  const stream = () => {
    const port = new PassThrough();
    const said: string[] = [];
    const wire = new Duplex({
      read() {},
      write(chunk, _encoding, done) {
        said.push(String(chunk));
        done();
      },
    });
    return { console: new GuestConsole(wire, port), wire, said };
  };

  it("is only for a guest of ours: one with a login prompt is not asked to mend anything", async () => {
    const { console, wire, said } = stream();
    console.askToMend();
    expect(said).toEqual([]);
    wire.push("smolvm: ready\n");
    await new Promise((resolve) => setImmediate(resolve));
    console.askToMend();
    console.endCommand("ab12/0", 77);
    expect(said).toEqual(["smolvm mend\n", "smolvm kill ab12/0 77\n"]);
    expect(said.map((line) => isBetweenUs(line.trim()))).toEqual([true, true]);
  });
});

describe("a line of the console", () => {
  it.each<[string, GuestMessage | undefined]>([
    ["smolvm: ready", { kind: "ready" }],
    ["[    1.234567] random: crng init done smolvm: ready", { kind: "ready" }],
    ["smolvm: ready ", { kind: "ready" }],
    ["smolvm: done", { kind: "done" }],
    ["smolvm: failed: no disk /dev/vda", { kind: "failed", reason: "no disk /dev/vda" }],
    ["smolvm: failed: ", { kind: "failed", reason: "" }],
    ["smolvm: failed: smolvm: ready", { kind: "failed", reason: "smolvm: ready" }],
    ["smolvm: progress 3 of 97: unpacking", { kind: "progress", text: "3 of 97: unpacking" }],
    ["smolvm: quiet", { kind: "quiet" }],
    ["smolvm: speaks", { kind: "speaks" }],
    ["[    9.1] noise smolvm: identity 3", { kind: "identity", request: 3 }],
    ["smolvm: identity", undefined],
    ["smolvm time 1700000000 0", undefined],
    ["[    8.3] random: crng reseeded due to virtual machine fork", { kind: "reseeded" }],
    ["random: crng reseeded due to virtual machine fork, twice", undefined],
    ["smolvm: ready to begin", undefined],
    ["smolvm: readyness", undefined],
    ["smolvm:ready", undefined],
    ["ready", undefined],
    ["", undefined],
  ])("%j means %j", (line, expected) => {
    expect(parseGuestMessage(line)).toEqual(expected);
  });

  it("means the same however its bytes are cut, and whatever came before", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 200; round++) {
      const noise = Buffer.from(Array.from({ length: random(300) }, () => random(256)));
      const stream = new PassThrough();
      const messages: GuestMessage[] = [];
      const guest = new GuestConsole(stream, new PassThrough());
      guest.onMessage((message) => messages.push(message));
      const bytes = Buffer.concat([noise, Buffer.from("\nsmolvm: progress é 1\r\nsmolvm: ready\r\n")]);
      for (const chunk of randomChunks(bytes, random)) stream.emit("data", chunk);
      expect(messages.slice(-2), `seed ${seed}, round ${round}`).toEqual([
        { kind: "progress", text: "é 1" },
        { kind: "ready" },
      ]);
      expect(guest.lastMessage, `seed ${seed}, round ${round}`).toEqual({ kind: "ready" });
    }
  });
});

describe("a line that is shown to nobody", () => {
  it.each([
    ...[
      "smolvm: ready",
      "smolvm: quiet",
      "smolvm: speaks",
      "smolvm: done",
      "smolvm: identity 7",
      "smolvm: ahead 1001",
    ],
    ...["smolvm ready?", "smolvm speak", "smolvm quiet? 0", "smolvm time 1 2", "smolvm clock 1 2 3"],
    ...["smolvm poweroff", "smolvm grace 0 smolvm poweroff"],
  ])("is %j", (line) => expect(isBetweenUs(line)).toBe(true));

  it.each([
    ...[
      "",
      "ready",
      "smolvm",
      "smolvm: failed: no disk",
      "smolvm: failed: smolvm: ready",
      "smolvm: ready to begin",
    ],
    ...[
      "I run smolvm: ready",
      "smolvm clock",
      "smolvm clock 1 2 3 4",
      "smolvm clock one",
      "smolvm run -- true",
    ],
    ...["random: crng reseeded due to virtual machine fork", "smolvm: progress 1 of 2", "smolvm grace 5"],
  ])("is not %j", (line) => expect(isBetweenUs(line)).toBe(false));
});

/** Each line that is said to the guest: a PassThrough gives back what it got. */
function echoOf(guest: GuestConsole): string[] {
  const lines: string[] = [];
  guest.onLine((line) => lines.push(line));
  return lines;
}

describe("the console", () => {
  it("gives lines without carriage returns, and the unfinished one in its tail", () => {
    const stream = new PassThrough();
    const guest = new GuestConsole(stream, new PassThrough());
    const lines: string[] = [];
    guest.onLine((line) => lines.push(line));
    stream.emit("data", Buffer.from("one\r\ntwo\r\nlogin: "));
    expect(lines).toEqual(["one", "two"]);
    expect(guest.tail).toBe("one\ntwo\nlogin: ");
  });

  it("shows in its tail nothing of what it and the guest tell each other, but for why the guest fails", () => {
    const stream = new PassThrough();
    const guest = new GuestConsole(stream, new PassThrough());
    const ours = ["smolvm clock 1700000000 3 1001", "smolvm: identity 1001", "smolvm: ready"];
    const shown = ["[ 0.1] up", "smolvm: failed: no disk", "smolvm: rea"];
    stream.emit("data", Buffer.from([shown[0], ...ours, ...shown.slice(1)].join("\r\n")));
    expect(guest.tail).toBe(shown.join("\n"));
  });

  it("says who the guest is at a port of its own, and understands what comes from there without showing it", () => {
    let written = "";
    const port = new Duplex({
      read() {},
      write(chunk, _, done) {
        written += chunk;
        done();
      },
    });
    const guest = new GuestConsole(new PassThrough(), port);
    const messages: GuestMessage[] = [];
    guest.onMessage((message) => messages.push(message));
    const machineId = "0123456789abcdef0123456789abcdef";
    guest.giveIdentity({ hostname: "swift-otter", machineId, wasInUse: false }, 1_700_000_000, 0);
    guest.giveIdentity(
      { hostname: "swift-otter", machineId, wasInUse: true, keeps: "ab12" },
      1_700_000_001,
      1,
    );
    expect(written).toBe(
      `swift-otter ${machineId} 1700000000 0\nswift-otter ${machineId} 1700000001 1 ab12\n`,
    );
    expect(guest.tail).toBe("");
    port.emit("data", Buffer.from("smolvm: iden"));
    port.emit("data", Buffer.from("tity 1\n"));
    expect(messages).toEqual([{ kind: "identity", request: 1 }]);
    expect(guest.tail).toBe("");
  });

  it("keeps the last 64 KiB and no more, whatever the guest floods it with", () => {
    const stream = new PassThrough();
    const guest = new GuestConsole(stream, new PassThrough());
    for (let at = 0; at < 200; at++) stream.emit("data", Buffer.alloc(10_000, "x"));
    stream.emit("data", Buffer.from("the end"));
    expect(guest.tail).toHaveLength(64 * 1024);
    expect(guest.tail.endsWith("xthe end")).toBe(true);
  });

  it("cuts a line that never ends", () => {
    const stream = new PassThrough();
    const guest = new GuestConsole(stream, new PassThrough());
    const lengths: number[] = [];
    guest.onLine((line) => lengths.push(line.length));
    stream.emit("data", Buffer.alloc(20_000, "x"));
    expect(lengths).toEqual([8192, 8192]);
  });

  it("is not listened to any more by who has stopped", () => {
    const stream = new PassThrough();
    const guest = new GuestConsole(stream, new PassThrough());
    const lines: string[] = [];
    const stop = guest.onLine((line) => lines.push(line));
    stop();
    stream.emit("data", Buffer.from("one\n"));
    expect(lines).toEqual([]);
  });

  it("puts its requests into one line each", () => {
    const stream = new PassThrough();
    const guest = new GuestConsole(stream, new PassThrough());
    const lines = echoOf(guest);
    guest.askReady();
    guest.askQuiet(2);
    guest.askToSpeak();
    guest.giveTime(1_700_000_000, 2);
    guest.tellTime(1_700_000_000_250, 3);
    expect(lines).toEqual([
      ...["smolvm ready?", "smolvm quiet? 2", "smolvm speak", "smolvm time 1700000000 2"],
      "smolvm clock 1700000000 250 3",
    ]);
    expect(lines.filter((line) => !isBetweenUs(line))).toEqual([]);
  });

  it("asks the guest to power off, and does not mind when nobody is there any more", async () => {
    const stream = new PassThrough();
    const guest = new GuestConsole(stream, new PassThrough());
    const lines = echoOf(guest);
    guest.requestPoweroff(7_999.6);
    expect(lines).toEqual(["smolvm grace 8000 smolvm poweroff"]);
    expect(lines.filter((line) => !isBetweenUs(line))).toEqual([]);
    guest.close();
    await guest.closed;
    guest.requestPoweroff(1);
  });
});
