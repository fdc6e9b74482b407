import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { CommandResult } from "../../../src/errors.ts";
import { traceBoot, traceCommand, traceStatus } from "../../../src/sandbox/machine/diagnostics.ts";
import { StatusCell } from "../../../src/sandbox/machine/status.ts";
import type { BootReport } from "../../../src/state/machine-record.ts";
import { recordOf } from "../../support/machine-records.ts";

const { spec } = recordOf("box");
const REPORT: BootReport = {
  ...{ accelerator: "tcg", acceleratorReason: "", startedAt: "2026-01-02T03:04:05.678Z" },
  ...{ way: "cold", wayReason: "", phases: [] },
};
const COMMAND = { command: ["ls", "-a"], shell: "raw" } as const;
const stops: (() => void)[] = [];

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** All that comes on a channel, each as it was then. */
function hear(name: string): unknown[] {
  const heard: unknown[] = [];
  const listener = (message: unknown) => heard.push({ ...Object(message) });
  subscribe(name, listener);
  stops.push(() => unsubscribe(name, listener));
  return heard;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("the channels for those who trace", () => {
  it("tell of each change of a machine's status", () => {
    const heard = hear("smolvm:status");
    const cell = new StatusCell("box");
    traceStatus(spec, cell);
    cell.change("starting", "start");
    cell.follow("error", "QEMU died", "2026-01-02T03:04:05.678Z");
    expect(heard).toEqual([
      { id: spec.id, name: "box", status: "starting", reason: null, at: expect.stringMatching(/Z$/) },
      { id: spec.id, name: "box", status: "error", reason: "QEMU died", at: "2026-01-02T03:04:05.678Z" },
    ]);
  });

  it("tell what a boot went through", () => {
    const heard = hear("smolvm:boot");
    traceBoot(spec, REPORT);
    expect(heard).toEqual([{ id: spec.id, name: "box", report: REPORT }]);
  });

  it("tell of a command as it begins, and of the same one as it ends", async () => {
    const same: unknown[] = [];
    const [starts, ends] = [hear("smolvm:command:start"), hear("smolvm:command:end")];
    for (const name of ["smolvm:command:start", "smolvm:command:end"]) {
      const listener = (message: unknown) => same.push(message);
      subscribe(name, listener);
      stops.push(() => unsubscribe(name, listener));
    }
    let end = (_: CommandResult) => {};
    const result = new Promise<CommandResult>((resolve) => {
      end = resolve;
    });
    traceCommand(COMMAND, Promise.resolve({ vm: { id: "vm-1", name: "box" } }), result);
    await settled();
    expect(starts).toEqual([{ vmId: "vm-1", ...COMMAND }]);
    expect(ends).toEqual([]);
    end({ exitCode: 137, signal: "SIGKILL" } as CommandResult);
    await settled();
    const how = { exitCode: 137, signal: "SIGKILL", error: null, durationMs: expect.any(Number) };
    expect(ends).toEqual([{ vmId: "vm-1", ...COMMAND, ...how }]);
    expect(same[0]).toBe(same[1]);
  });

  it("tell why a command has no exit status", async () => {
    const ends = hear("smolvm:command:end");
    const error = new Error("the link broke");
    const result = Promise.reject(error);
    traceCommand(COMMAND, Promise.resolve({ vm: { id: "vm-1", name: "box" } }), result);
    await settled();
    expect(ends).toMatchObject([{ exitCode: null, signal: null, error }]);
  });

  it("say nothing of a command that never ran", async () => {
    const heard = [hear("smolvm:command:start"), hear("smolvm:command:end")];
    const refused = Promise.reject(new Error("it is stopped"));
    refused.catch(() => {});
    traceCommand(COMMAND, refused, new Promise(() => {}));
    await settled();
    expect(heard).toEqual([[], []]);
  });

  it("cost nothing where nobody listens", () => {
    const [begun, result] = [
      Promise.resolve({ vm: { id: "vm-1", name: "box" } }),
      Promise.resolve({} as CommandResult),
    ];
    const looks = [vi.spyOn(begun, "then"), vi.spyOn(result, "then")];
    traceCommand(COMMAND, begun, result);
    const publish = vi.spyOn(channel("smolvm:boot"), "publish");
    traceBoot(spec, REPORT);
    for (const look of looks) expect(look).not.toHaveBeenCalled();
    expect(publish).not.toHaveBeenCalled();
    publish.mockRestore();
  });
});
