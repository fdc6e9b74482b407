import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import type { Handle } from "../../../src/sandbox/machine/handle.ts";
import type { StatusChange } from "../../../src/sandbox/machine/status.ts";
import { statusChanges } from "../../../src/sandbox/watch/status-changes.ts";
import { fakeHandle } from "../../support/fake-handle.ts";

let handle: Handle;
let look = () => {};

beforeEach(() => {
  look = () => {};
  handle = fakeHandle("/none", () => look());
});
afterEach(() => {
  look = () => {};
});

const AT = "2026-01-02T03:04:05.678Z";

describe("the changes of a machine's status", () => {
  it("begin with how it stands, leave none out, and end when it is deleted", async () => {
    const seen: StatusChange[] = [];
    const reading = (async () => {
      for await (const change of statusChanges(handle)) {
        seen.push(change);
        if (seen.length === 1) {
          handle.status.change("starting", "start");
          handle.status.change("running", "start");
          await sleep(20); // who reads slowly misses nothing
          handle.status.follow("error", "QEMU died", AT);
        }
        if (seen.length === 4) setTimeout(() => handle.status.follow("deleted", "by hand", AT), 20);
      }
    })();
    await reading;
    expect(seen.map(({ status, reason }) => [status, reason])).toEqual([
      ["created", null],
      ["starting", null],
      ["running", null],
      ["error", "QEMU died"],
      ["stopped", "by hand"],
    ]);
    expect(seen[3]?.at).toBe(AT);
    for (const { at } of seen) expect(new Date(at).toISOString()).toBe(at);
  });

  it("say once what was told twice", async () => {
    const changes = statusChanges(handle);
    await changes.next();
    for (let round = 0; round < 3; round++) handle.status.follow("running", "", AT);
    handle.status.follow("deleted", "", AT);
    const rest: string[] = [];
    for await (const { status } of changes) rest.push(status);
    expect(rest).toEqual(["running", "stopped"]);
  });

  it("are told to each who listens", async () => {
    const [one, two] = [statusChanges(handle), statusChanges(handle)];
    await Promise.all([one.next(), two.next()]);
    handle.status.change("starting", "start");
    for (const each of [one, two]) expect((await each.next()).value).toMatchObject({ status: "starting" });
    await Promise.all([one.return(), two.return()]);
  });

  it.each([
    ["before it begins", (abort: AbortController) => abort.abort(), []],
    ["while it is waited", (abort: AbortController) => void setTimeout(() => abort.abort(), 20), ["created"]],
  ])("end with an abort %s, without an error", async (_, end, expected) => {
    const abort = new AbortController();
    end(abort);
    const seen: string[] = [];
    for await (const { status } of statusChanges(handle, { signal: abort.signal })) seen.push(status);
    expect(seen).toEqual(expected);
  });

  it("are looked for where nobody holds the machine who would tell", async () => {
    look = () => handle.status.follow("running", "", AT);
    const changes = statusChanges(handle);
    await changes.next();
    expect((await changes.next()).value).toMatchObject({ status: "running" });
    await changes.return();
  });

  it("are not listened to any more once the iteration is left", async () => {
    for await (const _ of statusChanges(handle)) break;
    let looks = 0;
    look = () => looks++;
    await sleep(700);
    expect(looks).toBe(0);
  });

  it("refuse options that there are not", async () => {
    await expect(statusChanges(handle, { sginal: 1 } as never).next()).rejects.toThrow(ValidationError);
    await expect(statusChanges(handle, { signal: 1 as never }).next()).rejects.toThrow(ValidationError);
  });
});
