import { describe, expect, it } from "vitest";
import { decodeVariables, encodeVariables } from "../../../src/sandbox/command/environment-file.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

describe("the file that keeps a guest's variables", () => {
  it("is a heading and one export for each, sorted, in single quotes", () => {
    const text = encodeVariables({ B: "it's", A: "x\ny" });
    expect(text.split("\n").slice(1).join("\n")).toBe("export A='x\ny'\nexport B='it'\\''s'\n");
    expect(text.startsWith("# ")).toBe(true);
  });

  it.each<Record<string, string>>([
    {},
    { A: "" },
    { A: "'", B: "''", C: "'\\''" },
    { A: "x'\nexport B='y" },
    { A: '$HOME `id` \\ " # ; \t\r\n\n é 漢 \u{1f600}' },
    { __proto__x: "1", constructor: "2", toString: "3" },
    { A: "x".repeat(100_000) },
  ])("gives back what was put in: %j", (variables) => {
    expect(decodeVariables(encodeVariables(variables))).toEqual(variables);
  });

  it("gives back a variable called __proto__ as one", () => {
    const variables = JSON.parse('{"__proto__":"x"}') as Record<string, string>;
    expect(Object.entries(decodeVariables(encodeVariables(variables)) ?? {})).toEqual([["__proto__", "x"]]);
  });

  it("is empty where there is none, and not understood where somebody else wrote it", () => {
    expect(decodeVariables("")).toEqual({});
    const heading = encodeVariables({});
    for (const text of [
      "export A='x'\n",
      `${heading}A='x'\n`,
      `${heading}export A=x\n`,
      `${heading}export A='x'`,
      `${heading}export A='x' # mine\n`,
      `${heading}export A='x\n`,
      `${heading}export 1A='x'\n`,
      `${heading}rm -rf /\n`,
    ]) {
      expect(decodeVariables(text), text).toBeNull();
    }
  });

  it("survives any value, and any damage without an exception", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const letters = ["'", "\\", "\n", "a", "export ", "=", "$", '"', " ", "A='", "é", "#"];
    const value = () =>
      Array.from({ length: random(12) }, () => letters[random(letters.length)] ?? "").join("");
    for (let round = 0; round < 2000; round++) {
      const variables = Object.fromEntries(Array.from({ length: random(4) }, (_, i) => [`V${i}`, value()]));
      const text = encodeVariables(variables);
      expect(decodeVariables(text), `seed ${seed}, round ${round}`).toEqual(variables);
      const at = random(text.length);
      const damaged = text.slice(0, at) + value() + text.slice(at + random(5));
      const decoded = decodeVariables(damaged);
      // What is understood is written again as it was: nothing is guessed.
      if (decoded) expect(Object.values(decoded).every((one) => typeof one === "string")).toBe(true);
    }
  });
});
