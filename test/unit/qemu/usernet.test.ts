import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { OperationTimeoutError } from "../../../src/errors.ts";
import { addForward, type Forward, parseConnections, parseUsernet } from "../../../src/qemu/usernet.ts";
import { eventually } from "../../support/eventually.ts";
import { type Command, connected, type Peer } from "../../support/qmp-peer.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

const HEAD =
  "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n";

const forward = (hostPort: number, guestPort: number, hostAddress = "127.0.0.1"): Forward => ({
  hostAddress,
  hostPort,
  guestPort,
});

describe("the forwards in what `info usernet` prints", () => {
  it.each<[string, string, Forward[]]>([
    ["none", HEAD, []],
    [
      "the one to the SSH server",
      `${HEAD}  TCP[HOST_FORWARD]   3       127.0.0.1 35487       10.0.2.15    22     0     0\r\n`,
      [forward(35487, 22)],
    ],
    [
      "several, among connections and UDP",
      `${HEAD}  TCP[ESTABLISHED]   14       127.0.0.1 40000       10.0.2.15    22     0     0\r\n` +
        "  TCP[HOST_FORWARD]   8       127.0.0.1  5555       10.0.2.15    80     0     0\r\n" +
        "  TCP[HOST_FORWARD]  12         0.0.0.0 35487       10.0.2.15    22     0     0\r\n" +
        "  UDP[HOST_FORWARD]  12       127.0.0.1  5556       10.0.2.15    81     0     0\r\n",
      [forward(5555, 80), forward(35487, 22, "0.0.0.0")],
    ],
    ["ports that are none", `  TCP[HOST_FORWARD]   3  127.0.0.1 0  10.0.2.15  99999  0  0\r\n`, []],
    ["a message instead", "usernet not in use\r\n", []],
  ])("%s", (_, text, expected) => {
    expect(parseUsernet(text)).toEqual(expected);
  });

  it("are found again whatever stands around them, and noise never throws", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 300; round++) {
      const expected = Array.from({ length: random(5) }, () => forward(1 + random(65535), 1 + random(65535)));
      const lines = expected.map(
        ({ hostPort, guestPort }) =>
          `  TCP[HOST_FORWARD] ${" ".repeat(random(3))}${random(900)}  127.0.0.1 ${hostPort}  10.0.2.15 ${guestPort}  0  0`,
      );
      const noise = Array.from({ length: random(60) }, () => String.fromCharCode(32 + random(95))).join("");
      const text = `${HEAD}${noise.replaceAll("TCP", "")}\r\n${lines.join("\r\n")}\r\n`;
      expect(parseUsernet(text), `seed ${seed}, round ${round}`).toEqual(expected);
    }
  });
});

describe("the connections into the guest in what `info usernet` prints", () => {
  const FORWARDS =
    "  TCP[HOST_FORWARD]  26       127.0.0.1 36511       10.0.2.15    80     0     0\r\n" +
    "  TCP[HOST_FORWARD]   5       127.0.0.1 46359       10.0.2.15    22     0     0\r\n";
  /** As QEMU 7.2 prints it where the guest has made one, and one has come by SSH. */
  const BOTH =
    HEAD +
    "  TCP[ESTABLISHED]   28       10.0.2.15 43990        10.0.2.2 45355     0     0\r\n" +
    "  TCP[ESTABLISHED]   27       127.0.0.1 46359       10.0.2.15    22     0     0\r\n" +
    FORWARDS;
  const line = (state: string, from: string, to: string) =>
    `${`  TCP[${state}]`.padEnd(21)}27       ${from}       ${to}     0     0\r\n`;

  it.each<[string, string, number]>([
    ["none", HEAD + FORWARDS, 0],
    ["one that came and one that the guest made", BOTH, 1],
    ["two by SSH", BOTH + line("ESTABLISHED", "127.0.0.1 46359", "10.0.2.15 22"), 2],
    ["one by another forward", BOTH + line("ESTABLISHED", "127.0.0.1 36511", "10.0.2.15 80"), 2],
    ["one that is half closed", HEAD + FORWARDS + line("CLOSE_WAIT", "127.0.0.1 46359", "10.0.2.15 22"), 1],
    [
      "one whose end is on its way",
      HEAD + FORWARDS + line("FIN_WAIT_2", "127.0.0.1 46359", "10.0.2.15 22"),
      1,
    ],
    ["one that is over", HEAD + FORWARDS + line("TIME_WAIT", "127.0.0.1 46359", "10.0.2.15 22"), 0],
    ["one that is being made", HEAD + FORWARDS + line("SYN_SENT", "127.0.0.1 46359", "10.0.2.15 22"), 0],
    [
      "one that the guest made from a port that is a forward's on the host",
      HEAD + FORWARDS + line("ESTABLISHED", "10.0.2.15 46359", "93.184.216.34 443"),
      0,
    ],
    [
      "one that the guest made to a port that is a forward's",
      HEAD + FORWARDS + line("ESTABLISHED", "10.0.2.15 50000", "10.0.2.2 46359"),
      0,
    ],
    [
      "one without its forward, which was removed",
      HEAD + line("ESTABLISHED", "127.0.0.1 9", "10.0.2.15 22"),
      0,
    ],
    ["a message instead", "usernet not in use\r\n", 0],
  ])("%s", (_, text, expected) => {
    expect(parseConnections(text)).toBe(expected);
  });
});

describe("a forward that QEMU adds", () => {
  /** Adds what it is told, and answers the first time only then. */
  async function slowQemu(firstAnswer: Promise<void>) {
    const forwards: Forward[] = [forward(40_022, 22)];
    const soon = () => sleep(1);
    let whenAdded = () => firstAnswer;
    const answer = (command: Command, peer: Peer) => {
      const line = String(command.arguments["command-line"]);
      const added = /^hostfwd_add net0 tcp:127.0.0.1:(\d+)-:(\d+)$/.exec(line);
      const removed = /^hostfwd_remove net0 tcp:127.0.0.1:(\d+)$/.exec(line);
      if (added) forwards.push(forward(Number(added[1]) || 50_000 + forwards.length, Number(added[2])));
      if (removed)
        forwards.splice(
          forwards.findIndex(({ hostPort }) => hostPort === Number(removed[1])),
          1,
        );
      const text = forwards
        .map(
          ({ hostPort, guestPort }) =>
            `  TCP[HOST_FORWARD]  3  127.0.0.1 ${hostPort}  10.0.2.15 ${guestPort}  0  0\r\n`,
        )
        .join("");
      const words = added ? "" : removed ? `host forwarding rule for ${line} removed` : text;
      void (added ? whenAdded() : soon()).then(() => peer.say({ return: words, id: command.id }));
      if (added) whenAdded = soon;
    };
    const [qmp] = await connected(answer);
    return { qmp, forwards };
  }

  it.each([0, 5_555])(
    "when nobody waits for it any more is removed again (host port %i)",
    async (hostPort) => {
      let answer = () => {};
      const isAnswered = new Promise<void>((resolve) => {
        answer = resolve;
      });
      const { qmp, forwards } = await slowQemu(isAnswered);
      const adding = addForward(qmp, forward(hostPort, 80), 1_000);
      await expect(adding).rejects.toBeInstanceOf(OperationTimeoutError);
      expect(forwards).toHaveLength(2);
      answer();
      await eventually(() => forwards.length === 1, "it is removed");
      expect(forwards).toEqual([forward(40_022, 22)]);
    },
  );

  it("at the same time as another for the same port of the guest is told apart from it", async () => {
    const { qmp } = await slowQemu(sleep(1));
    const both = await Promise.all([addForward(qmp, forward(0, 80)), addForward(qmp, forward(0, 80))]);
    expect(both[0].hostPort).not.toBe(both[1].hostPort);
  });
});
