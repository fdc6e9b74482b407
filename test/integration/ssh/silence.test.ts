import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { closeWhenDead } from "../../../src/ssh/transport/keep-alive.ts";
import { ConnectError } from "../../../src/ssh/transport/ssh-connection.ts";
import { Links } from "../../../src/ssh/worker/links.ts";
import { eventually } from "../../support/eventually.ts";
import { type SshGuest, startSshGuest } from "../../support/ssh-guest.ts";

let guest: SshGuest;
beforeEach(async () => {
  guest = await startSshGuest();
});
afterEach(() => guest.close());

const NEVER = new AbortController().signal;

/** The connections to a guest whose server takes what comes and says nothing, as one that was stopped does. */
async function silentLinks(isPaused: () => boolean, mendEveryMs?: number) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on("error", () => {})));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  let answers = false;
  const target = async () => (answers ? guest.target : { ...guest.target, port });
  let mends = 0;
  const mend = () => void mends++;
  const links = new Links({ target, isPaused, mend, mendEveryMs, onFacts: () => {}, firstName: null });
  return {
    links,
    get mends() {
      return mends;
    },
    answer: () => {
      answers = true;
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      await links.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

it("a server that does not answer is given up after a while, and asked again by who comes next", async () => {
  const { links, answer, close } = await silentLinks(() => false);
  const error = await links.get(NEVER, 300).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConnectError);
  expect(String(error)).toContain("the SSH server has not answered for 0.3 s");
  answer();
  expect((await links.get(NEVER, 20_000)).isOpen).toBe(true);
  await close();
});

it("a machine that was paused has all the time there is from when it goes on", async () => {
  let isPaused = true;
  const { links, close } = await silentLinks(() => isPaused);
  const got = links.get(NEVER, 3_000).catch((thrown: unknown) => thrown);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  isPaused = false;
  const resumedMs = performance.now();
  expect(await got).toBeInstanceOf(ConnectError);
  expect(performance.now() - resumedMs).toBeGreaterThan(1_000);
  await close();
});

it("a machine that is paused may be silent for as long as it likes", async () => {
  let isPaused = true;
  const { links, close } = await silentLinks(() => isPaused);
  let isOver = false;
  const got = links.get(NEVER, 50).catch((thrown: unknown) => {
    isOver = true;
    return thrown;
  });
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(isOver).toBe(false);
  isPaused = false;
  expect(await got).toBeInstanceOf(ConnectError);
  await close();
});

it("a guest whose server does not answer is asked to mend what is in the way, as long as it is not paused", async () => {
  let isPaused = true;
  const silent = await silentLinks(() => isPaused, 20);
  const got = silent.links.get(NEVER, 20_000);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(silent.mends).toBe(0);
  isPaused = false;
  await eventually(() => silent.mends > 2, "it is asked again and again");
  silent.answer();
  expect((await got).isOpen).toBe(true);
  const asked = silent.mends;
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(silent.mends).toBe(asked);
  await silent.close();
});

it("a guest that is silent on a connection that stands is asked the same before the connection is given up", async () => {
  const done: string[] = [];
  const guest = { isPaused: () => false, mend: () => void done.push("mend") };
  const lost = new Promise<string>((resolve) => {
    const connection = {
      bytesRead: 1000,
      ping: async () => void done.push("ping"),
      abandon: resolve,
      get lost() {
        return lost;
      },
    };
    queueMicrotask(() => closeWhenDead(connection, guest, { intervalMs: 200, silenceMs: 1_500 }));
  });
  expect(await lost).toBe("the server does not answer any more");
  expect(done[0]).toBe("ping");
  expect(done).toContain("mend");
});
