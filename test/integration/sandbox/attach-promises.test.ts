import { PassThrough } from "node:stream";
import { beforeEach, describe, expect, it } from "vitest";
import { type Attachment, attachStreams } from "../../../src/sandbox/command/attach.ts";
import { eventually } from "../../support/eventually.ts";
import { Slow } from "../../support/slow-stream.ts";

let asked: number;
let terminal: Attachment;
beforeEach(() => {
  asked = 0;
  terminal = attachStreams(
    new PassThrough(),
    () => asked++,
    () => {},
    () => {},
  );
});

const prints = (text: string) => terminal.take("stdout", Buffer.from(text));
const keyboard = () => new PassThrough();

describe("output of a terminal, to a listener that returns promises,", () => {
  it("waits in the guest while too much is under way, each time of however few bytes", async () => {
    const [screen, done]: [Slow, (() => void)[]] = [new Slow(1024 * 1024), []];
    const onOutput = () => new Promise<void>((resolve) => done.push(resolve));
    terminal.attach(keyboard(), screen, { onOutput });
    asked = 0;
    let calls = 1;
    while (prints("x") && calls < 5_000) calls++;
    expect(calls).toBeGreaterThan(10);
    expect(calls).toBeLessThan(2_000);
    expect(screen.written).toBe("x".repeat(calls)); // the screen has it at once
    for (const finish of done.splice(0, 5)) finish();
    await new Promise(setImmediate);
    expect(asked).toBe(0);
    for (const finish of done.splice(0)) finish();
    await eventually(() => asked === 1, "more was asked for");
    expect(prints("y")).toBe(true);
  });

  it("is asked for only when both the screen and its listener have room", async () => {
    const [screen, done]: [Slow, (() => void)[]] = [new Slow(), []];
    screen.isSlow = true;
    const onOutput = () => new Promise<void>((resolve) => done.push(resolve));
    terminal.attach(keyboard(), screen, { onOutput });
    asked = 0;
    expect(prints("x".repeat(300 * 1024))).toBe(false);
    for (const finish of done.splice(0)) finish();
    await new Promise(setImmediate);
    expect(asked).toBe(0);
    screen.letGo();
    await eventually(() => asked === 1, "more was asked for");
    screen.isSlow = true;
    expect(prints("x".repeat(300 * 1024))).toBe(false);
    screen.letGo();
    await new Promise(setImmediate);
    expect(asked).toBe(1);
    for (const finish of done.splice(0)) finish();
    await eventually(() => asked === 2, "more was asked for");
  });

  it("is asked for no more by what a listener has promised that is detached", async () => {
    const done: (() => void)[] = [];
    const onOutput = () => new Promise<void>((resolve) => done.push(resolve));
    const detach = terminal.attach(keyboard(), new Slow(), { onOutput });
    prints("x".repeat(300 * 1024));
    detach();
    asked = 0;
    for (const finish of done.splice(0)) finish();
    await new Promise(setImmediate);
    expect(asked).toBe(0);
  });
});
