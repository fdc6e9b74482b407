import { describe, expect, it } from "vitest";
import { OperationAbortedError, OperationTimeoutError } from "../../../src/errors.ts";
import { QmpClient } from "../../../src/qemu/qmp/client.ts";
import { QmpError } from "../../../src/qemu/qmp/error.ts";
import { type Command, connected, GREETING, Peer, timestamp } from "../../support/qmp-peer.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

describe("connecting to QEMU", () => {
  it("takes the greeting and leaves negotiation", async () => {
    const [client, peer] = await connected();
    expect(client.version).toBe("7.2.22");
    expect(peer.heard.map(({ execute }) => execute)).toEqual(["qmp_capabilities"]);
  });

  it.each([
    ["no greeting but noise", (peer: Peer) => peer.push("SSH-2.0-x\n"), "greeting"],
    ["an end before the greeting", (peer: Peer) => peer.push(null), "greeting"],
    ["an error before the greeting", (peer: Peer) => peer.destroy(new Error("EPIPE")), "greeting"],
    [
      "a refusal of the negotiation",
      (peer: Peer) => {
        peer.answer = ({ id }) => peer.say({ id, error: { class: "CommandNotFound", desc: "what?" } });
        peer.say(GREETING);
      },
      "negotiation",
    ],
    [
      "an end during the negotiation",
      (peer: Peer) => {
        peer.answer = () => peer.push(null);
        peer.say(GREETING);
      },
      "negotiation",
    ],
  ])("with %s says where it broke", async (_, act, phase) => {
    const peer = new Peer();
    const connecting = QmpClient.connect(peer).catch((error) => error);
    act(peer);
    const error = await connecting;
    expect(error).toBeInstanceOf(QmpError);
    expect(error).toMatchObject({ phase, code: "QMP" });
    expect(peer.destroyed).toBe(true);
  });

  it("gives up at its deadline, and when it is aborted", async () => {
    const silent = new Peer();
    await expect(QmpClient.connect(silent, { timeoutMs: 20 })).rejects.toBeInstanceOf(OperationTimeoutError);
    expect(silent.destroyed).toBe(true);
    const signal = AbortSignal.abort();
    await expect(QmpClient.connect(new Peer(), { signal })).rejects.toBeInstanceOf(OperationAbortedError);
  });
});

describe("a command to QEMU", () => {
  it("gets its own answer, in whatever order they come", async () => {
    const waiting: Command[] = [];
    const [client, peer] = await connected((command) => {
      waiting.push(command);
      if (waiting.length < 3) return;
      for (const { id, arguments: given } of waiting.reverse()) peer.say({ return: given, id });
    });
    const answers = [1, 2, 3].map((n) => client.execute("echo", { n }));
    expect(await Promise.all(answers)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });

  it("that is refused tells QEMU's words and kind", async () => {
    const [client] = await connected(({ id }, peer) =>
      peer.say({ id, error: { class: "DeviceNotFound", desc: "No such device" } }),
    );
    const error = await client.execute("device_del").catch((e: QmpError) => e);
    expect(error).toMatchObject({ phase: "command", errorClass: "DeviceNotFound" });
    expect(error).toHaveProperty("message", "QEMU refused device_del: No such device");
  });

  it("fails with all others when the conversation ends, and later ones fail at once", async () => {
    const [client, peer] = await connected(() => {});
    const calls = [client.execute("a"), client.execute("b")];
    peer.push(null);
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ status: "rejected", reason: { phase: "connection" } });
    }
    await client.closed;
    await expect(client.execute("c")).rejects.toMatchObject({ phase: "connection" });
  });

  it.each([
    ["noise", (peer: Peer) => peer.push("noise\n")],
    ["a second greeting", (peer: Peer) => peer.say(GREETING)],
    [
      "an error that belongs to no command",
      (peer: Peer) => peer.say({ error: { class: "GenericError", desc: "JSON parse error" } }),
    ],
  ])("fails when QEMU sends %s", async (_, act) => {
    const [client, peer] = await connected(() => {});
    const call = client.execute("a");
    act(peer);
    await expect(call).rejects.toMatchObject({ phase: "connection" });
    expect(peer.destroyed).toBe(true);
  });

  it("fails when QEMU's message never ends", async () => {
    const [client, peer] = await connected((_, other) => {
      for (let at = 0; at < 10; at++) other.push(Buffer.alloc(1 << 20, "x"));
    });
    await expect(client.execute("a")).rejects.toThrow("a message of more than");
    expect(peer.destroyed).toBe(true);
  });

  it("has a deadline and a signal; its late answer is nobody's", async () => {
    const [client, peer] = await connected(() => {});
    await expect(client.execute("a", {}, { timeoutMs: 20 })).rejects.toBeInstanceOf(OperationTimeoutError);
    const control = new AbortController();
    const call = client.execute("b", {}, { signal: control.signal });
    control.abort();
    await expect(call).rejects.toBeInstanceOf(OperationAbortedError);
    for (const { id } of peer.heard) peer.say({ return: {}, id });
    peer.answer = ({ id }) => peer.say({ return: "still here", id });
    expect(await client.execute("c")).toBe("still here");
  });

  it("fails after close, and closing twice is fine", async () => {
    const [client, peer] = await connected(() => {});
    const call = client.execute("a");
    client.close();
    client.close();
    await expect(call).rejects.toBeInstanceOf(QmpError);
    expect(peer.destroyed).toBe(true);
  });
});

describe("events of QEMU", () => {
  it("reach everyone who listens, until they stop", async () => {
    const [client, peer] = await connected();
    const seen: [string, unknown][] = [];
    const stop = client.onEvent(({ name, data }) => seen.push([name, data]));
    peer.say({ event: "STOP", timestamp }, { event: "SHUTDOWN", data: { guest: true }, timestamp });
    await client.execute("query-status");
    stop();
    peer.say({ event: "RESUME", timestamp });
    await client.execute("query-status");
    expect(seen).toEqual([
      ["STOP", {}],
      ["SHUTDOWN", { guest: true }],
    ]);
  });
});

describe("the conversation with QEMU", () => {
  it("is the same however its bytes are cut and its messages mixed", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 30; round++) {
      const said: Buffer[] = [];
      const [client, peer] = await connected(({ id, arguments: given }) => {
        if (random(2) === 0) said.push(line({ event: `E${random(5)}`, data: {}, timestamp }));
        said.push(line(given.n === 3 ? { id, error: { class: "X", desc: "é\n" } } : { return: given, id }));
      });
      let events = 0;
      client.onEvent(() => events++);
      const calls = Array.from({ length: 8 }, (_, n) =>
        client.execute("echo", { n, pad: "é".repeat(random(50)) }),
      );
      const bytes = Buffer.concat(said);
      for (const chunk of randomChunks(bytes, random, 60)) peer.push(chunk);
      const results = await Promise.allSettled(calls);
      const what = `seed ${seed}, round ${round}`;
      expect(
        results.map(({ status }) => status === "fulfilled"),
        what,
      ).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((n) => n !== 3));
      expect(events, what).toBe(said.length - 8);
    }
  });
});

function line(message: object): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\r\n`);
}
