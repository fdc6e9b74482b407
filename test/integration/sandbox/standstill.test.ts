import { kill } from "node:process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationAbortedError, OperationTimeoutError, SmolVMError } from "../../../src/errors.ts";
import type { ProcessIdentity } from "../../../src/host/process-identity.ts";
import { isStopped, tellStandstill } from "../../../src/sandbox/machine/standstill.ts";
import { silentError } from "../../../src/sandbox/remote/connection.ts";
import { eventually } from "../../support/eventually.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let qemu: ProcessIdentity;
beforeEach(async () => {
  folder = await useStateFolder();
  qemu = await folder.spawnOwned("box");
});
afterEach(() => folder[Symbol.asyncDispose]());

const REPORT = {
  accelerator: "tcg",
  acceleratorReason: "",
  way: "cold",
  wayReason: "",
  startedAt: "2026-01-02T03:04:05.678Z",
  phases: [],
} as const;

/** A machine as it stands in its record: that process is its QEMU, and perhaps another one its supervisor. */
async function put(owner: ProcessIdentity = folder.me) {
  const boot = { qemu, sshPort: 2222, hostKey: null, cgroup: null, report: REPORT };
  const status = { phase: "running", reason: "", since: REPORT.startedAt } as const;
  const { record } = await folder.put("box", { persistent: true, owner, boot, status });
  return { state: folder.state, spec: record.spec };
}

async function halt(process: ProcessIdentity): Promise<void> {
  kill(process.pid, "SIGSTOP");
  await eventually(() => isStopped(process), "the signal has stopped it");
}

const late = () => new OperationTimeoutError("QEMU's command stop", 30);
const mute = () => new SmolVMError("UNRESPONSIVE", "It does not answer.", { remediation: "Look at it." });

describe("a machine that does not answer", () => {
  it.each([
    ["OperationTimeoutError", late, "QEMU's command stop did not finish within 30 s: ", ""],
    ["UNRESPONSIVE", mute, "It does not answer: ", "."],
    ["SAVE", () => new SmolVMError("SAVE", "It broke."), "It broke: ", "."],
  ])(
    "because a signal has stopped its QEMU says so by %s, and what lets it go on",
    async (_, make, before, after) => {
      const machine = await put();
      await halt(qemu);
      const error = make();
      const { code } = error;
      expect(await tellStandstill(error, machine)).toBe(error);
      expect(error).toMatchObject({
        code,
        message: `${before}its QEMU (pid ${qemu.pid}) stands still by a signal${after}`,
        remediation: `kill -CONT ${qemu.pid}`,
      });
    },
  );

  it("says the same of its supervisor", async () => {
    const supervisor = await folder.spawnOwned("box");
    const machine = await put(supervisor);
    await halt(supervisor);
    expect(await tellStandstill(late(), machine)).toMatchObject({
      message: expect.stringContaining(`its supervisor (pid ${supervisor.pid}) stands still`),
      remediation: `kill -CONT ${supervisor.pid}`,
    });
  });

  it("though nobody has stopped its supervisor says which process that is, and what ends it", async () => {
    const supervisor = await folder.spawnOwned("box");
    const machine = await put(supervisor);
    expect(await tellStandstill(silentError(), machine)).toMatchObject({
      message: `The process that holds the machine does not answer (pid ${supervisor.pid}).`,
      remediation: expect.stringMatching(
        new RegExp(`: kill ${supervisor.pid}, or kill -KILL ${supervisor.pid} .*: smolvm start box$`),
      ),
    });
  });

  it("tells no more than is known where nobody was stopped, where it is gone, and of what is no silence", async () => {
    const machine = await put();
    expect(await tellStandstill(mute(), machine)).toEqual(mute());
    await halt(qemu);
    const aborted = new OperationAbortedError("Pausing");
    expect(await tellStandstill(aborted, machine)).toMatchObject({ message: "Pausing was aborted" });
    expect(aborted.remediation).toBeUndefined();
    const other = { ...machine, spec: { ...machine.spec, id: "vm-other" } };
    expect(await tellStandstill(mute(), other)).toEqual(mute());
  });
});
