import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  decodeMachineRecord,
  encodeMachineRecord,
  type MachineRecord,
  NewerFormatError,
  parseMachineRecord,
} from "../../../src/state/machine-record.ts";
import { canonicalJson } from "../../../src/util/canonical-json.ts";
import { recordOf } from "../../support/machine-records.ts";
import { chooseSeed, type Random, seededRandom } from "../../support/random.ts";

const SELF = { pid: 7, startedAt: "123", bootId: "b-0" };
const AT_REST = recordOf("box", { persistent: true });
const RUNNING: MachineRecord = {
  ...AT_REST,
  spec: {
    ...AT_REST.spec,
    env: { GREETING: "Hallo, Wörld\n" },
    ports: [{ guest: 80, host: null }],
    labels: { team: "a" },
    ttlMs: 60_000,
    hostLimits: { memoryMib: 1024, cpus: 0.5 },
  },
  hostKey: "c2VjcmV0",
  wasBooted: true,
  status: { phase: "running", reason: "", since: "2026-01-02T03:04:06.000Z" },
  owner: SELF,
  boot: {
    qemu: { ...SELF, pid: 8 },
    sshPort: 40_000,
    hostKey: "ssh-ed25519 AAAA",
    cgroup: null,
    report: {
      accelerator: "tcg",
      acceleratorReason: "KVM does not work here",
      startedAt: "2026-01-02T03:04:05.678Z",
      way: "cold",
      wayReason: "no template yet",
      phases: [{ name: "image", ms: 1.5 }],
    },
  },
};

const written = (change: object, of: MachineRecord = RUNNING) =>
  encodeMachineRecord({ ...of, ...change } as MachineRecord);

describe("the record of a machine", () => {
  it.each([
    ["at rest", AT_REST],
    ["that runs", RUNNING],
    [
      "with a kernel of one's own",
      {
        ...AT_REST,
        spec: {
          ...AT_REST.spec,
          source: { kind: "own", kernelPath: "/k", initrdPath: null, rootfsPath: "/r", bootArgs: "quiet" },
        },
      } as MachineRecord,
    ],
  ])("%s is read as it was written", (_, record) => {
    expect(decodeMachineRecord(encodeMachineRecord(record))).toEqual(record);
    expect(parseMachineRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
  });

  it.each<[string, string, string]>([
    ["no text", "", "its record is no JSON"],
    ["half of it", written({}).slice(0, 300), "its record is no JSON"],
    ["null", "null", "its record is bad: the whole"],
    ["a list", "[]", "its record is bad: "],
    ["no checksum", JSON.stringify(RUNNING), "its checksum is another one"],
    ["another checksum", JSON.stringify({ ...RUNNING, checksum: "0" }), "its checksum is another one"],
    ["an older format", written({ formatVersion: 0 }), "its record is bad: formatVersion"],
    ["more than is known", written({ more: 1 }), "its record is bad: more"],
    ["no owner", written({ owner: undefined }), "its record is bad: owner"],
    [
      "an impossible phase",
      written({ status: { ...RUNNING.status, phase: "deleted" } }),
      "bad: status.phase",
    ],
    ["a moment that is none", written({ createdAt: "yesterday" }), "its record is bad: createdAt"],
    ["no memory", written({ spec: { ...RUNNING.spec, memoryMib: 0 } }), "its record is bad: spec.memoryMib"],
    ["a port that is none", written({ boot: { ...RUNNING.boot, sshPort: 1.5 } }), "bad: boot.sshPort"],
    [
      "a host key of another kind",
      written({ boot: { ...RUNNING.boot, hostKey: "ssh-rsa A\nother ssh-ed25519 B" } }),
      "its record is bad: boot.hostKey",
    ],
  ])("with %s is refused by what is wrong with it", (_, text, reason) => {
    expect(() => decodeMachineRecord(text)).toThrow(reason);
    expect(() => decodeMachineRecord(text)).not.toThrow(NewerFormatError);
  });

  it("of a later version says so, whatever else is in it", () => {
    const text = JSON.stringify({ formatVersion: 3, all: "new" });
    expect(() => decodeMachineRecord(text)).toThrow(NewerFormatError);
    expect(() => decodeMachineRecord(text)).toThrow(
      "its record has format 3, and this version of smolvm knows 2",
    );
  });

  it("of format 1, which did not say what a machine stands on, is read as that of one that has yet to find out", () => {
    const { held: _, ...rest } = AT_REST;
    const first = { ...rest, formatVersion: 1 };
    const checksum = createHash("sha256").update(canonicalJson(first)).digest("hex");
    expect(decodeMachineRecord(JSON.stringify({ ...first, checksum }))).toEqual({ ...AT_REST, held: null });
    const changed = JSON.stringify({ ...first, wasBooted: !first.wasBooted, checksum });
    expect(() => decodeMachineRecord(changed)).toThrow(/checksum/);
  });

  it("says what the machine stands on", () => {
    const held = {
      image: { name: "debian", digest: "d", kernelVersion: "6.12" },
      disk: { format: "raw", bytes: 4096, elsewhere: { path: "/a/disk", identity: "1 2" } },
      kernel: null,
      initramfs: null,
      guestFormat: 2,
    } as const;
    expect(decodeMachineRecord(encodeMachineRecord({ ...AT_REST, held })).held).toEqual(held);
  });

  it("in which any piece was changed or lost is refused, or says what it said before", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (const [record, rounds] of [
      [AT_REST, 1_000],
      [RUNNING, 2_000],
    ] as const) {
      const text = encodeMachineRecord(record);
      for (let round = 0; round < rounds; round++) {
        const changed = corrupt(text, random);
        const what = `seed ${seed}, round ${round}: ${JSON.stringify(changed)}`;
        try {
          expect(decodeMachineRecord(changed), what).toEqual(record);
        } catch (error) {
          expect((error as Error).message, what).toMatch(/^its record (is (no JSON|bad: )|has format )/);
        }
      }
    }
  });

  it("whose very values were exchanged for others that are allowed is refused", () => {
    const text = encodeMachineRecord(RUNNING);
    const exchanges = [
      ['"memoryMib": 512', '"memoryMib": 513'],
      ['"name": "box"', '"name": "fox"'],
      ['"pid": 8', '"pid": 9'],
      ['"phase": "running"', '"phase": "stopped"'],
      ['"persistent": true', '"persistent": false'],
    ] as const;
    for (const [before, after] of exchanges) {
      expect(text).toContain(before);
      expect(() => decodeMachineRecord(text.replace(before, after))).toThrow("its checksum is another one");
    }
  });
});

/** Takes a piece out, puts one in, turns a bit, exchanges two pieces, or repeats one. */
function corrupt(text: string, random: Random): string {
  const at = random(text.length);
  const cut = at + random(12);
  const put = String.fromCharCode(random(300));
  const bits = Buffer.from(text);
  const byte = random(bits.length);
  switch (random(5)) {
    case 0:
      return text.slice(0, at) + text.slice(cut);
    case 1:
      return text.slice(0, at) + put + text.slice(cut);
    case 2:
      bits[byte] = (bits[byte] ?? 0) ^ (1 << random(8));
      return bits.toString("utf8");
    case 3:
      return text.slice(0, at) + String(random(10 ** random(12))) + text.slice(at + random(2));
    default:
      return text.slice(0, cut) + text.slice(at);
  }
}
