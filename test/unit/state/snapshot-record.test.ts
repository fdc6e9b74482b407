import { describe, expect, it } from "vitest";
import {
  decodeSnapshotRecord,
  encodeSnapshotRecord,
  type SnapshotRecord,
} from "../../../src/state/snapshot-record.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

const SHA = "0".repeat(64);
const RECORD: SnapshotRecord = {
  formatVersion: 1,
  name: "one",
  facts: {
    createdAt: "2026-11-24T04:00:00.000Z",
    pauseMs: 12.5,
    sourceName: "swift-otter",
    image: { name: "debian", digest: SHA },
    own: null,
    memoryMib: 512,
    cpus: 1,
    diskMib: 4096,
    network: "open",
    template: "auto",
    sshUser: "root",
    sshKeyPath: null,
    labels: { a: "b" },
    accelerator: "tcg",
    qemuVersion: "7.2.22",
    guestFormat: 2,
    model: SHA,
    hostKey: "ssh-ed25519 AAAA",
    clientKey: "ssh-ed25519 AAAA me@here",
    shell: {
      ...{ token: "t", pid: 7, name: ["/sys/fs/cgroup/smolvm/0", "smolvm.0"], loginShell: "bash" },
      ...{ isFresh: true, scripts: "s" },
    },
    base: { format: "raw", bytes: 1, elsewhere: { path: "/images/rootfs.ext4", identity: "1 2 3" } },
  },
  memory: { bytes: 1, inode: "1", modifiedNs: "1", changedNs: "1", sha256: SHA },
  state: { bytes: 1, sha256: SHA },
  layers: [{ bytes: 1, inode: "1", modifiedNs: "1", sha256: SHA }],
  sizeBytes: 3,
};

describe("the record of a snapshot", () => {
  it("is read as it was written", () => {
    expect(decodeSnapshotRecord(encodeSnapshotRecord(RECORD))).toEqual(RECORD);
  });

  it("of an earlier version is of a guest that is talked to in the first way", () => {
    const { guestFormat: _, ...facts } = RECORD.facts;
    const read = decodeSnapshotRecord(JSON.stringify({ ...RECORD, facts }));
    expect(read.facts.guestFormat).toBe(1);
  });

  it.each([
    ["", "its record is no JSON"],
    ["null", "its record is bad: the whole"],
    [encodeSnapshotRecord({ ...RECORD, sizeBytes: -1 }), "its record is bad: sizeBytes"],
    [JSON.stringify({ ...RECORD, formatVersion: 2 }), "its record is bad: formatVersion"],
    [JSON.stringify({ ...RECORD, more: 1 }), "its record is bad: more"],
    [JSON.stringify({ ...RECORD, facts: { ...RECORD.facts, model: 1 } }), "its record is bad: facts.model"],
  ])("%j is refused by what is wrong with it", (text, reason) => {
    expect(() => decodeSnapshotRecord(text)).toThrow(reason);
  });

  it("that lost or changed any piece is the same record, another sound one, or refused", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const text = encodeSnapshotRecord(RECORD);
    for (let round = 0; round < 2_000; round++) {
      const at = random(text.length);
      const cut = at + random(8);
      const put = random(2) === 0 ? "" : String.fromCharCode(random(127));
      const changed = text.slice(0, at) + put + text.slice(cut);
      try {
        const decoded = decodeSnapshotRecord(changed);
        expect(decodeSnapshotRecord(encodeSnapshotRecord(decoded)), `seed ${seed}`).toEqual(decoded);
      } catch (error) {
        expect((error as Error).message, `seed ${seed}`).toMatch(/^its record is (no JSON|bad: )/);
      }
    }
  });
});
