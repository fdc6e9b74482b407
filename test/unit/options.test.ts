import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { lifeFlags, shapeFlags } from "../../src/cli/machine-flags.ts";
import { parseSpec } from "../../src/sandbox/machine/spec.ts";
import { checkFunction, checkOptionKeys, refuse } from "../../src/util/options.ts";

class Foo {}
class Named {
  name = "web";
}
const odd = new Proxy(
  {},
  {
    getPrototypeOf() {
      throw new Error("no");
    },
  },
);

describe("a refusal", () => {
  it.each([
    [{ a: 1 }, "an object"],
    [Object.create(null), "an object"],
    [runInNewContext("({ a: 1 })"), "an object"],
    [new Map([["a", "b"]]), "a Map"],
    [new Set(), "a Set"],
    [new Date(0), "a Date"],
    [new Uint8Array(3), "a Uint8Array"],
    [new Error("x"), "an Error"],
    [new AbortController(), "an AbortController"],
    [Promise.resolve(), "a Promise"],
    [new Foo(), "an instance of Foo"],
    [new (class {})(), "an object"],
    [[1, 2], "an array of 2"],
    [() => {}, "a function"],
    [null, "null"],
    ["text", '"text"'],
  ])("of %o names what was given: %s", (value, shown) => {
    expect(refuse("labels", value, "another").message).toBe(`labels must be another; given ${shown}.`);
  });

  it("never throws what was given", () => {
    const { message } = refuse("labels", odd, "another");
    expect(message).toBe("labels must be another; given an object.");
  });
});

describe("an object of options", () => {
  it("may be an instance of somebody's class, and one of another realm", () => {
    checkOptionKeys(new Named(), ["name"], "f()");
    checkOptionKeys(runInNewContext("({ name: 1 })"), ["name"], "f()");
    checkOptionKeys(Object.create(null), ["name"], "f()");
  });

  it.each([
    [new Map([["name", "web"]]), "a Map"],
    [Promise.resolve({ name: "web" }), "a Promise"],
    [new Set(["name"]), "a Set"],
  ])("is none where nobody would see what is in it: %o", (value, shown) => {
    expect(() => checkOptionKeys(value, ["name"], "f()")).toThrow(
      `f() takes one object of options; given ${shown}.`,
    );
  });
});

describe("a function", () => {
  it("may be left out, and is the only thing that is one", () => {
    for (const value of [undefined, () => {}, class {}, new Function()])
      expect(() => checkFunction("onProgress", value)).not.toThrow();
    for (const value of [null, {}, "f", Symbol("f")])
      expect(() => checkFunction("onProgress", value)).toThrow(/^onProgress must be a function; given /);
  });
});

describe("an unknown option", () => {
  const messageOf = (work: () => unknown): string => {
    try {
      work();
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };

  it.each([
    ["cols", ["columns", "rows", "term"], "columns"],
    ["flow", ["source", "tail", "follow"], "follow"],
    ["row", ["columns", "rows", "term"], "rows"],
    ["colums", ["columns", "rows"], "columns"],
    ["hots", ["guest", "host"], "host"],
    ["TimeOut", ["timeout"], "timeout"],
    ["memory", ["memoryMib", "cpus"], "memoryMib"],
  ])("%s is the nearest of %j", (given, known, nearest) => {
    expect(messageOf(() => checkOptionKeys({ [given]: 1 }, known, "f()"))).toContain(
      `did you mean "${nearest}"?`,
    );
  });

  it.each([
    ["colls", ["rows"]],
    ["disk", ["risky"]],
    ["user", ["term", "under"]],
    ["constructor", ["name"]],
  ])("%s is none of %j", (given, known) => {
    const message = messageOf(() => checkOptionKeys({ [given]: 1 }, known, "f()"));
    expect(message).toContain(`f() has no option "${given}". Known:`);
  });

  it("is told for each flag of the command line that has another name", () => {
    const options = [...shapeFlags, ...lifeFlags].map(({ flags }) =>
      (/--([a-z-]+)/.exec(flags)?.[1] ?? "").replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
    );
    const told = options.map((option) => [option, messageOf(() => parseSpec({ [option]: {} } as object))]);
    const unknown = told.filter(([, message]) => message?.includes("has no option"));
    expect(unknown.map(([option]) => option)).toEqual(
      expect.arrayContaining(["memory", "cpus", "disk", "label", "port", "hostMemory", "hostCpus"]),
    );
    for (const [, message] of unknown) expect(message).toContain("did you mean");
    expect(Object.fromEntries(unknown).disk).toContain('did you mean "diskSizeMib"?');
  });
});
