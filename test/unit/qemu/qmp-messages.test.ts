import { describe, expect, it } from "vitest";
import { parseQmpMessage } from "../../../src/qemu/qmp/messages.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2"}, "capabilities": ["oob"]}}';

describe("a message of QEMU", () => {
  it.each([
    [GREETING, { kind: "greeting", version: "7.2.22 (Debian 1:7.2)" }],
    [
      '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 1, "major": 9}, "package": ""}}}',
      { kind: "greeting", version: "9.1.0" },
    ],
    ['{"return": {}, "id": 3}', { kind: "return", id: 3, value: {} }],
    ['{"return": null, "id": "x"}', { kind: "return", id: "x", value: null }],
    [
      '{"id": 4, "error": {"class": "GenericError", "desc": "no"}}',
      { kind: "error", id: 4, errorClass: "GenericError", text: "no" },
    ],
    [
      '{"timestamp": {"seconds": 2, "microseconds": 500000}, "event": "STOP"}',
      { kind: "event", event: { name: "STOP", data: {}, timestampMs: 2500 } },
    ],
    [
      '{"timestamp": {"seconds": 1, "microseconds": 0}, "event": "SHUTDOWN", "data": {"guest": true}}',
      { kind: "event", event: { name: "SHUTDOWN", data: { guest: true }, timestampMs: 1000 } },
    ],
    ["", undefined],
    ["null", undefined],
    ["[]", undefined],
    ["{}", undefined],
    ["{", undefined],
    ['{"event": 5}', undefined],
    ['{"error": "no"}', undefined],
    ['{"QMP": {}}', undefined],
  ])("%s is decoded", (line, expected) => {
    expect(parseQmpMessage(line)).toEqual(expected);
  });

  it("that was damaged on its way is either understood or refused, and never throws", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.from(GREETING);
      for (let flips = 0; flips <= random(4); flips++) bytes[random(bytes.length)] = random(256);
      const message = parseQmpMessage(bytes.subarray(0, 1 + random(bytes.length)).toString());
      expect(message?.kind ?? "greeting", `seed ${seed}, round ${round}`).toBe("greeting");
    }
  });
});
