import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { endProcess } from "../../../src/host/owned-processes.ts";
import { isAlive, type ProcessIdentity } from "../../../src/host/process-identity.ts";
import { findMachine } from "../../../src/state/machine-folder.ts";
import { endProcessesOf } from "../../../src/state/machine-processes.ts";
import type { BootReport, StoredMachine } from "../../../src/state/machine-record.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const report: BootReport = {
  ...{ accelerator: "tcg", acceleratorReason: "", startedAt: "2026-01-02T03:04:05.678Z" },
  ...{ way: "cold", wayReason: "", phases: [] },
};

/** A machine whose record says that this is its QEMU. */
async function machineWith(qemu: ProcessIdentity): Promise<StoredMachine> {
  await folder.put("box", { boot: { qemu, sshPort: null, hostKey: null, cgroup: null, report } });
  const found = await findMachine(folder.state, "box");
  if (!found) throw new Error("it was put there");
  return found;
}

describe("what runs of a machine whose holder is gone", () => {
  it("is ended", async () => {
    const qemu = await folder.spawnOwned("other"); // known by the record alone
    await endProcessesOf(folder.state, await machineWith(qemu));
    expect(await isAlive(qemu)).toBe(false);
  });

  it("in another container is left to that one, and so is a process here that has the same id and start", async () => {
    const mine = await folder.spawnOwned("other");
    const theirs = { ...mine, namespaces: "pid:[1] time:[2]" };
    await endProcessesOf(folder.state, await machineWith(theirs));
    expect(await endProcess(theirs)).toBe(false);
    expect(await isAlive(mine)).toBe(true);
  });

  it("is ended too where an earlier version did not write down in which container it is", async () => {
    const { namespaces: _, ...qemu } = await folder.spawnOwned("other");
    await endProcessesOf(folder.state, await machineWith(qemu));
    expect(await isAlive(qemu)).toBe(false);
  });
});
