import { once } from "node:events";
import { createReadStream } from "node:fs";
import { PassThrough } from "node:stream";
import { beforeEach, describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { type Attachment, attachStreams } from "../../../src/sandbox/command/attach.ts";
import { eventually } from "../../support/eventually.ts";

let input: PassThrough;
let failures: unknown[];
let terminal: Attachment;

beforeEach(() => {
  input = new PassThrough();
  failures = [];
  terminal = attachStreams(
    input,
    () => {},
    () => {},
    (error) => failures.push(error),
  );
});

const prints = (text: string) => terminal.take("stdout", Buffer.from(text));

describe("what is no pair of streams, or no option", () => {
  it("is refused; nothing listens to the streams then, and who is attached stays so", () => {
    const [keys, screen, first] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const counts = () =>
      [keys, screen].flatMap((each) => each.eventNames().map((name) => each.listenerCount(name)));
    const before = counts();
    terminal.attach(new PassThrough(), first);
    // biome-ignore lint/suspicious/noExplicitAny: the point
    const attach = terminal.attach as (...given: any[]) => () => void;
    expect(() => attach(undefined, screen)).toThrow(ValidationError);
    expect(() => attach({}, screen)).toThrow(ValidationError);
    expect(() => attach(keys, null)).toThrow(ValidationError);
    expect(() => attach(keys, screen, { onInput: 5 })).toThrow(ValidationError);
    expect(() => attach(keys, screen, { onOuput: () => {} })).toThrow('did you mean "onOutput"?');
    expect(counts()).toEqual(before);
    prints("to the first");
    expect(String(first.read())).toBe("to the first");
  });
});

describe("what breaks", () => {
  it("a source ends the shell with its error, from the moment it is attached", async () => {
    const missing = createReadStream("/no/such/file");
    terminal.attach(missing, new PassThrough());
    await eventually(() => failures.length > 0, "the shell has failed");
    expect(failures).toEqual([expect.objectContaining({ code: "ENOENT" })]);
    terminal.attach(missing, new PassThrough());
    expect(failures.at(-1)).toMatchObject({ code: "ENOENT" });
  });

  it("a source, after the shell's end, is no uncaught error", async () => {
    const missing = createReadStream("/no/such/file");
    terminal.attach(missing, new PassThrough());
    terminal.end();
    await eventually(() => missing.closed, "the source is closed");
    expect(failures).toEqual([]);
  });

  it("an output is let go of, and another one can be attached", async () => {
    const screen = new PassThrough();
    terminal.attach(new PassThrough(), screen);
    const closed = new Promise((resolve) => screen.once("close", resolve));
    screen.destroy(new Error("its reader is gone"));
    await closed;
    prints("kept");
    const next = new PassThrough();
    terminal.attach(new PassThrough(), next);
    expect(String((await once(next, "data"))[0])).toBe("kept");
    expect(failures).toEqual([]);
  });

  it("a look at the input or the output ends the shell, also one that rejects", async () => {
    const [atInput, atOutput] = [new Error("input"), new Error("output")];
    const keys = new PassThrough();
    terminal.attach(keys, new PassThrough(), {
      onInput: () => {
        throw atInput;
      },
      onOutput: () => Promise.reject(atOutput),
    });
    keys.write("x");
    prints("y");
    await eventually(() => failures.length === 2, "both have failed");
    expect(new Set(failures)).toEqual(new Set([atInput, atOutput]));
    expect(input.read()).toBe(null);
  });
});
