import { describe, expect, it } from "vitest";
import { VMStateError } from "../../../src/errors.ts";
import { type Phase, StatusCell } from "../../../src/sandbox/machine/status.ts";

const WAYS: Readonly<Record<Phase, readonly Phase[]>> = {
  created: [],
  starting: ["starting"],
  running: ["starting", "running"],
  paused: ["starting", "running", "paused"],
  stopping: ["starting", "running", "stopping"],
  stopped: ["starting", "running", "stopping", "stopped"],
  error: ["starting", "error"],
  deleted: ["deleted"],
};

function cellIn(phase: Phase): StatusCell {
  const cell = new StatusCell("box");
  for (const step of WAYS[phase]) cell.change(step, "test", step === "error" ? "QEMU died." : "");
  return cell;
}

describe("StatusCell", () => {
  it.each(Object.keys(WAYS) as Phase[])("reaches %s and says how to get on from there", (phase) => {
    const cell = cellIn(phase);
    expect(cell.phase).toBe(phase);
    const refusal = cell.refusal("run");
    expect(refusal).toBeInstanceOf(VMStateError);
    const words: Partial<Record<Phase, string>> = {
      created: "has not been started yet",
      error: "is in error (QEMU died)",
    };
    expect(refusal.message).toBe(`Can't run machine "box": it ${words[phase] ?? `is ${phase}`}.`);
    expect(refusal.remediation).toMatch(/\w/);
  });

  it.each([
    ["created", "running"],
    ["created", "paused"],
    ["stopped", "running"],
    ["deleted", "starting"],
    ["running", "starting"],
    ["stopping", "running"],
  ] as const)("refuses to go from %s to %s and stays", (from, to) => {
    const cell = cellIn(from);
    expect(() => cell.change(to, "start")).toThrow(VMStateError);
    expect(cell.phase).toBe(from);
  });

  it("keeps the reason of an error for as long as it lasts", () => {
    const cell = cellIn("error");
    expect(cell.reason).toBe("QEMU died.");
    expect(cell.refusal("run").message).toContain("(QEMU died)");
    cell.change("starting", "start");
    expect(cell.reason).toBe("");
  });
});
