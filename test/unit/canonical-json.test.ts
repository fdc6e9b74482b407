import { describe, expect, it } from "vitest";
import { canonicalJson } from "../../src/util/canonical-json.ts";

describe("the canonical text of a value", () => {
  it("does not depend on the order in which its keys were set", () => {
    expect(canonicalJson({ b: [2, { d: 1, c: null }], a: "x" })).toBe('{"a":"x","b":[2,{"c":null,"d":1}]}');
    expect(canonicalJson({ a: "x", b: [2, { c: null, d: 1 }] })).toBe('{"a":"x","b":[2,{"c":null,"d":1}]}');
  });

  it("depends on the order of lists, and on every value", () => {
    const texts = [[1, 2], [2, 1], ["1", 2], [12], {}, [], null, "null"].map(canonicalJson);
    expect(new Set(texts).size).toBe(texts.length);
  });
});
