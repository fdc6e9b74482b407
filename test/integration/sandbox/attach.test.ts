import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { PassThrough, Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Attachment, attachStreams } from "../../../src/sandbox/command/attach.ts";
import { eventually } from "../../support/eventually.ts";
import { Slow } from "../../support/slow-stream.ts";

let input: Slow;
let asked: number;
let sizes: string[];
let terminal: Attachment;

beforeEach(() => {
  input = new Slow();
  asked = 0;
  sizes = [];
  terminal = attachStreams(
    input,
    () => asked++,
    ({ columns, rows }) => sizes.push(`${columns}x${rows}`),
    () => {},
  );
});

const prints = (text: string) => terminal.take("stdout", Buffer.from(text));
const reaches = (text: string) => eventually(() => input.written === text, `the guest has read ${text}`);
const keyboard = () => new PassThrough();

describe("output", () => {
  it("waits until somebody is attached, in order, and what is too much waits in the guest", () => {
    expect(prints("first ")).toBe(true);
    expect(prints("x".repeat(64 * 1024))).toBe(false);
    const screen = new Slow();
    terminal.attach(keyboard(), screen);
    expect(screen.written).toBe(`first ${"x".repeat(64 * 1024)}`);
    expect(asked).toBe(1);
  });

  it("comes no faster than it is taken", () => {
    const screen = new Slow();
    screen.isSlow = true;
    terminal.attach(keyboard(), screen);
    asked = 0;
    expect(prints("a")).toBe(false);
    expect(asked).toBe(0);
    screen.letGo();
    return eventually(() => asked === 1, "more was asked for");
  });

  it("goes to the pair that was attached last, and waits after it has been detached", () => {
    const [first, second, third] = [new Slow(), new Slow(), new Slow()];
    const detachFirst = terminal.attach(keyboard(), first);
    prints("1");
    const detachSecond = terminal.attach(keyboard(), second);
    prints("2");
    detachFirst(); // is long since
    prints("2");
    detachSecond();
    detachSecond();
    prints("3");
    terminal.attach(keyboard(), third);
    expect([first.written, second.written, third.written]).toEqual(["1", "22", "3"]);
  });

  it("waits again where the stream has been closed", async () => {
    const screen = new Slow();
    terminal.attach(keyboard(), screen);
    screen.destroy();
    await once(screen, "close");
    prints("kept");
    const other = new Slow();
    terminal.attach(keyboard(), other);
    expect(other.written).toBe("kept");
  });

  it("of a shell that has ended is still handed out, and nothing is held any more", () => {
    prints("last words");
    terminal.end();
    const keys = keyboard();
    const screen = new Slow();
    terminal.attach(keys, screen)();
    expect(screen.written).toBe("last words");
    expect(keys.listenerCount("data")).toBe(0);
  });

  it("is shown to whoever asked to see it", () => {
    let seen = "";
    terminal.attach(keyboard(), new Slow(), {
      onOutput: (bytes) => {
        seen += Buffer.from(bytes).toString();
      },
    });
    prints("shown");
    expect(seen).toBe("shown");
  });
});

describe("input", () => {
  it("reaches the guest no faster than it takes it", async () => {
    const keys = keyboard();
    input.isSlow = true;
    terminal.attach(keys, new Slow());
    keys.write("a");
    await reaches("a");
    expect(keys.isPaused()).toBe(true);
    keys.write("b");
    input.letGo();
    await reaches("ab");
  });

  it("is what the filter makes of it", async () => {
    const keys = keyboard();
    terminal.attach(keys, new Slow(), {
      onInput: (bytes) => Buffer.from(Buffer.from(bytes).toString().toUpperCase()),
    });
    keys.write("loud");
    await reaches("LOUD");
  });

  it.each([
    ["", "\u0004"],
    ["line\n", "line\n\u0004"],
    ["line\r", "line\r\u0004"],
    ["half", "half\u0004\u0004"],
  ])("%j and its end → %j: Control-D, twice where it would only hand the line over", async (typed, seen) => {
    terminal.attach(Readable.from(typed === "" ? [] : [typed]), new Slow());
    await reaches(seen);
    expect(input.writableEnded).toBe(false);
  });

  it("that ended before is an end all the same", async () => {
    const keys = Readable.from([]);
    for await (const _ of keys);
    terminal.attach(keys, new Slow());
    await reaches("\u0004");
  });

  it("of another stream may follow one that has ended", async () => {
    terminal.attach(Readable.from([]), new Slow());
    await reaches("\u0004");
    const keys = keyboard();
    terminal.attach(keys, new Slow());
    keys.write("more");
    await reaches("\u0004more");
  });

  it("that comes after the shell's end goes nowhere", () => {
    const keys = keyboard();
    terminal.attach(keys, new Slow());
    input.destroy();
    expect(() => keys.emit("data", Buffer.from("late"))).not.toThrow();
    terminal.end();
    expect(keys.isPaused()).toBe(true);
  });
});

describe("the size", () => {
  it("is told at once and as it changes, as long as it is attached", () => {
    const screen = Object.assign(new Slow(), { columns: 100, rows: 30 });
    const detach = terminal.attach(keyboard(), screen);
    screen.columns = 120;
    screen.emit("resize");
    detach();
    screen.emit("resize");
    expect(sizes).toEqual(["100x30", "120x30"]);
  });

  it("of a terminal that does not know its own is left as it is", () => {
    terminal.attach(keyboard(), Object.assign(new Slow(), { columns: 0, rows: 0 }));
    terminal.attach(keyboard(), new Slow());
    expect(sizes).toEqual([]);
  });
});

describe("a stdin that is a terminal", () => {
  let fd: number;
  beforeEach(() => {
    fd = openSync("/dev/null", "r");
  });
  afterEach(() => closeSync(fd));

  /** As Node's own: mode changes are noted. */
  function fakeTerminal() {
    const keys = Object.assign(keyboard(), {
      isTTY: true,
      isRaw: false,
      fd,
      modes: [] as boolean[],
      setRawMode(isRaw: boolean) {
        keys.isRaw = isRaw;
        keys.modes.push(isRaw);
      },
    });
    return keys;
  }

  const watched = ["SIGCONT", "SIGINT", "SIGTERM", "SIGWINCH", "exit"];
  const listeners = () => watched.map((name) => process.listenerCount(name));

  it.each<[string, (detach: () => void) => void]>([
    ["detaching", (detach) => detach()],
    ["the shell's end", () => terminal.end()],
    ["attaching something else", () => void terminal.attach(keyboard(), new Slow())],
  ])("is raw until %s, and nothing is left of it", (_, leave) => {
    const before = listeners();
    const keys = fakeTerminal();
    const events = ["data", "end", "close", "error"];
    const count = () => events.map((event) => keys.listenerCount(event));
    const countBefore = count();
    const detach = terminal.attach(keys, new Slow());
    expect(keys.isRaw).toBe(true);
    leave(detach);
    expect(keys.isRaw).toBe(false);
    expect(count()).toEqual(countBefore);
    expect(listeners()).toEqual(before);
  });

  it("is made raw again after the process was stopped and continued", () => {
    const keys = fakeTerminal();
    const detach = terminal.attach(keys, new Slow());
    keys.modes.length = 0;
    process.emit("SIGCONT", "SIGCONT");
    expect(keys.modes).toEqual([false, true]);
    detach();
  });

  it("stays raw where it was so before", () => {
    const keys = fakeTerminal();
    keys.isRaw = true;
    terminal.attach(keys, new Slow())();
    expect(keys.isRaw).toBe(true);
  });

  it("that is hung up is the end of the input", async () => {
    const keys = fakeTerminal();
    terminal.attach(keys, new Slow());
    keys.destroy(new Error("read EIO"));
    await reaches("\u0004");
    terminal.end();
  });
});
