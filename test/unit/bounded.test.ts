import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { OperationAbortedError, OperationTimeoutError } from "../../src/errors.ts";
import { bounded } from "../../src/util/bounded.ts";

const never = new Promise<never>(() => {});

describe("a bounded wait", () => {
  it("gives what the work gives, and leaves nothing on the signal", async () => {
    const { signal } = new AbortController();
    const work = Promise.resolve(5);
    expect(await bounded(work, { operation: "Adding", timeoutMs: 10_000, signal })).toBe(5);
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  it("fails as the work fails", async () => {
    const work = Promise.reject(new RangeError("no"));
    await expect(bounded(work, { operation: "Adding", timeoutMs: 10_000 })).rejects.toThrow(RangeError);
  });

  it("ends at its deadline with the name of the operation", async () => {
    const error = await bounded(never, { operation: "Adding", timeoutMs: 20 }).catch((e) => e);
    expect(error).toBeInstanceOf(OperationTimeoutError);
    expect(error).toMatchObject({ operation: "Adding", timeoutSeconds: 0.02 });
  });

  it("names a caller's own time, where a grace was added to it", async () => {
    const bounds = { operation: "Asking", timeoutMs: 5, namedMs: 2_000 };
    await expect(bounded(new Promise(() => {}), bounds)).rejects.toMatchObject({
      message: "Asking did not finish within 2 s",
      remediation: expect.stringMatching(/^Give it more time/),
    });
  });

  it("ends when the signal fires, or has fired before, with its reason as the cause", async () => {
    const early = bounded(never, {
      operation: "Adding",
      timeoutMs: 10_000,
      signal: AbortSignal.abort("why"),
    });
    await expect(early).rejects.toMatchObject({ cause: "why" });
    const control = new AbortController();
    const late = bounded(never, { operation: "Adding", timeoutMs: 10_000, signal: control.signal });
    control.abort();
    await expect(late).rejects.toBeInstanceOf(OperationAbortedError);
  });
});
