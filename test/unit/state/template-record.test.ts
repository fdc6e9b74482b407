import { describe, expect, it } from "vitest";
import {
  decodeTemplateRecord,
  encodeTemplateRecord,
  type TemplateRecord,
} from "../../../src/state/template-record.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

const HASH = "ab".repeat(32);
const RECORD: TemplateRecord = {
  formatVersion: 1,
  key: HASH,
  createdAt: "2026-11-24T03:26:52.836Z",
  image: { name: "tiny", digest: HASH },
  inputs: { memoryMib: 512, arguments: ["-m", "512M"] },
  hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMYogchuIC",
  shell: null,
  memory: { bytes: 536870912, inode: "12", modifiedNs: "1", changedNs: "2", sha256: HASH },
  state: { bytes: 351770, sha256: HASH },
  disk: null,
};

describe("a template's record", () => {
  it("is read as it was written", () => {
    expect(decodeTemplateRecord(encodeTemplateRecord(RECORD))).toEqual(RECORD);
    const withDisk = { ...RECORD, disk: { bytes: 1, sha256: HASH } };
    expect(decodeTemplateRecord(encodeTemplateRecord(withDisk))).toEqual(withDisk);
  });

  it.each<[string, string, RegExp]>([
    ["nothing", "", /its record is no JSON/],
    ["half of it", encodeTemplateRecord(RECORD).slice(0, 200), /its record is no JSON/],
    ["a number", "7", /its record is bad: the whole/],
    ["another format", JSON.stringify({ ...RECORD, formatVersion: 2 }), /its record is bad: formatVersion/],
    ["a short hash", JSON.stringify({ ...RECORD, state: { bytes: 1, sha256: "ab" } }), /bad: state.sha256/],
    ["no memory", JSON.stringify({ ...RECORD, memory: undefined }), /bad: memory/],
    ["more than is known", JSON.stringify({ ...RECORD, more: 1 }), /bad: more/],
  ])("is refused where there is %s", (_, text, message) => {
    expect(() => decodeTemplateRecord(text)).toThrow(message);
  });

  it("is read or refused, whatever is changed in it", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const bytes = Buffer.from(encodeTemplateRecord(RECORD));
    let refused = 0;
    for (let round = 0; round < 500; round++) {
      const copy = Buffer.from(bytes);
      for (let flips = random(3); flips >= 0; flips--) copy[random(copy.length)] = random(256);
      try {
        expect(decodeTemplateRecord(copy.toString()).formatVersion, `seed ${seed}`).toBe(1);
      } catch (error) {
        expect(String(error), `seed ${seed}, round ${round}`).toMatch(/^DamageError: its record is /);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(0);
  });
});
