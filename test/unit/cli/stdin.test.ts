import { PassThrough, Readable, Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { write } from "../../../src/cli/io.ts";
import { recordingRun } from "../../support/fake-commands.ts";
import { fakeMachines, performWith } from "../../support/fake-machines.ts";

async function perform(argv: readonly string[], options = {}) {
  const { run, asked } = recordingRun(0);
  return { ...(await performWith(fakeMachines([{}], { more: { run } }), argv, options)), asked };
}

describe("standard input", () => {
  it.each(["-n", "--no-stdin"])("%s leaves it alone, also where it is no terminal", async (flag) => {
    const { status, asked } = await perform(["exec", flag, "web", "cat"], { input: "hello" });
    expect(status).toBe(0);
    expect(asked[0]?.options).not.toHaveProperty("stdin");
  });

  it("can't be both passed on and left alone", async () => {
    const { status, err } = await perform(["exec", "-i", "-n", "web", "cat"]);
    expect(status).toBe(2);
    expect(err).toContain("Give one of them");
  });
});

describe("an output whose reader goes away", () => {
  it.each(["error", "close"] as const)("is waited for no longer: %s", async (event) => {
    const full = new Writable({ highWaterMark: 1, write: () => {} });
    full.on("error", () => {});
    const writing = write(full as never, Buffer.from("more than it takes"), new AbortController().signal);
    if (event === "error") full.emit("error", new Error("EPIPE"));
    else full.emit("close");
    await writing;
    expect(["drain", "error", "close"].map((each) => full.listenerCount(each))).toEqual([0, 1, 0]);
  });

  it("still takes what comes as fast as it is read", async () => {
    const slow = new PassThrough({ highWaterMark: 1 });
    const writing = write(slow as never, Buffer.from("text"), new AbortController().signal);
    for await (const chunk of Readable.from(slow)) {
      expect(String(chunk)).toBe("text");
      break;
    }
    await writing;
  });
});
