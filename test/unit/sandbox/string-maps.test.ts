import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { parseEnv, parseLabel } from "../../../src/cli/values.ts";
import { ValidationError } from "../../../src/errors.ts";
import { decodeVariables, encodeVariables } from "../../../src/sandbox/command/environment-file.ts";
import { parseRun } from "../../../src/sandbox/command/run-options.ts";
import { parseSpec } from "../../../src/sandbox/machine/spec.ts";
import {
  decodeMachineRecord,
  encodeMachineRecord,
  parseMachineRecord,
} from "../../../src/state/machine-record.ts";
import { StringMapSchema } from "../../../src/state/string-map-schema.ts";
import { checkEnvSize, checkEnvVars } from "../../../src/util/env-vars.ts";
import { hasEntry, isStringMap } from "../../../src/util/string-map.ts";
import { recordOf } from "../../support/machine-records.ts";

/** Names that every object inherits something under, or that decoders leave out. */
const ODD = JSON.parse(
  '{"__proto__":"a","constructor":"b","prototype":"c","toString":"d","hasOwnProperty":"e"}',
);
const entriesOf = (map: object) => Object.entries(map).sort();

describe("labels and variables of any name", () => {
  it("come back from a record as they were given", () => {
    const spec = parseSpec({ labels: { ...ODD, "a b=c": "é\n" }, env: ODD });
    const record = recordOf("odd", { spec });
    for (const read of [
      decodeMachineRecord(encodeMachineRecord(record)),
      parseMachineRecord(JSON.parse(JSON.stringify(record))),
    ]) {
      expect(entriesOf(read.spec.labels)).toEqual(entriesOf({ ...ODD, "a b=c": "é\n" }));
      expect(entriesOf(read.spec.env)).toEqual(entriesOf(ODD));
    }
  });

  it("come back from a snapshot's record, a variables' file, a command's options and the command line", () => {
    expect(entriesOf(v.parse(StringMapSchema, ODD))).toEqual(entriesOf(ODD));
    expect(entriesOf(decodeVariables(encodeVariables(ODD)) ?? {})).toEqual(entriesOf(ODD));
    expect(entriesOf(parseRun("x", { env: ODD }).spec.env)).toEqual(entriesOf(ODD));
    const pairs = Object.entries(ODD).map(([name, value]) => `${name}=${value}`);
    for (const parse of [parseEnv, parseLabel]) {
      const flags = pairs.reduce<object>((previous, pair) => parse(pair, previous), {});
      expect(entriesOf(flags)).toEqual(entriesOf(ODD));
    }
  });

  it("are there only where they were given", () => {
    expect(() => parseEnv("constructor", undefined)).toThrow(/constructor is not set here/);
    expect(hasEntry(ODD, "__proto__", "a")).toBe(true);
    expect(hasEntry({}, "__proto__", "a")).toBe(false);
  });

  it.each([null, [], new Map([["a", "b"]]), { a: 1 }, "a", 1, new Set()])(
    "%j is no map of strings",
    (value) => {
      expect(isStringMap(value)).toBe(false);
      expect(v.safeParse(StringMapSchema, value).success).toBe(false);
      expect(() => parseSpec({ labels: value as never })).toThrow(ValidationError);
      expect(() => parseSpec({ env: value as never })).toThrow(ValidationError);
    },
  );
});

describe("what Linux would not pass on", () => {
  const LARGEST = 131_072;
  const value = (name: string, bytes: number) => "x".repeat(bytes - name.length - 2);

  it("one variable may take 128 KiB with its name, its = and its end, and no more", () => {
    expect(() => checkEnvVars({ BIG: value("BIG", LARGEST) }, "env")).not.toThrow();
    for (const text of [value("BIG", LARGEST + 1), "é".repeat(LARGEST / 2)])
      expect(() => checkEnvVars({ BIG: text }, "env")).toThrow(/^env\.BIG must be at most 131072 bytes/);
  });

  it("all together may take 1920 KiB, each with a pointer", () => {
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`V${n}`, "x".repeat(100_000)]));
    expect(() => checkEnvVars(many(19), "env")).not.toThrow();
    expect(() => checkEnvVars(many(20), "env")).toThrow(/^env must be at most 1966080 bytes together/);
    expect(() => checkEnvSize(many(20), "vars, with those that are set,")).toThrow(/with those that are set/);
  });

  it.each(["UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO", "GROUPS", "RANDOM", "_"])(
    "%s is bash's own, for a machine and for a command",
    (name) => {
      for (const parse of [
        () => parseSpec({ env: { [name]: "1" } }),
        () => parseRun("x", { env: { [name]: "1" } }),
        () => checkEnvVars({ [name]: "1" }, "vars"),
      ])
        expect(parse).toThrow(/must be one that bash does not set itself \(UID, .*…\); given/);
    },
  );

  it.each(["__smolvm", "__smolvm_l", "__smolvm_A", "__smolvm2_A"])(
    "%s is ours, for a machine and for a command",
    (name) => {
      for (const parse of [
        () => parseSpec({ env: { [name]: "1" } }),
        () => parseRun("x", { env: { [name]: "1" } }),
        () => checkEnvVars({ [name]: "1" }, "vars"),
      ])
        expect(parse).toThrow(/must be one that does not begin with __smolvm/);
    },
  );

  it("half of a surrogate pair is no text", () => {
    expect(() => checkEnvVars({ A: "a\ud800b" }, "vars")).toThrow(/vars\.A must be Unicode text/);
    expect(() => checkEnvVars({ A: "a\u{1f600}b" }, "vars")).not.toThrow();
  });

  it("one argument may take 128 KiB, and all 1920 KiB with the variables, as a script may", () => {
    expect(() => parseRun(["echo", "x".repeat(LARGEST - 1)])).not.toThrow();
    expect(() => parseRun(["echo", "x".repeat(LARGEST)])).toThrow(
      /^command\[1\] must be shorter than 131072/,
    );
    const words = Array.from({ length: 19 }, () => "x".repeat(100_000));
    expect(() => parseRun(["echo", ...words])).not.toThrow();
    expect(() => parseRun(["echo", ...words], { env: { A: "x".repeat(100_000) } })).toThrow(
      /^command must be at most 1966080 bytes with `env`/,
    );
    parseRun("x".repeat(1920 * 1024 - 100));
    const refusal =
      /a script of at most 1966080 bytes with `env`, where these come to 19\d{5}: .* a file of the guest/;
    expect(() => parseRun("x".repeat(1920 * 1024))).toThrow(refusal);
    expect(() => parseRun("x".repeat(1920 * 1024 - 100), { env: { A: "y".repeat(100) } })).toThrow(refusal);
  });

  it("a machine whose options would not fit into a line of its holder's is refused, with what takes the room", () => {
    const labels = { note: "x".repeat(3 * 1024 * 1024) };
    expect(() => parseSpec({ labels, persistent: true })).toThrow(
      /these take \d+, labels 3145\d+ of them and env 2/,
    );
    const controls = Object.fromEntries(
      Array.from({ length: 8 }, (_, n) => [`V${n}`, "\u0001".repeat(100_000)]),
    );
    expect(() => parseSpec({ env: controls })).toThrow(/as JSON/);
  });
});
