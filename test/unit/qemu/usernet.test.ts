import { describe, expect, it } from "vitest";
import { type Forward, parseUsernet } from "../../../src/qemu/usernet.ts";
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
