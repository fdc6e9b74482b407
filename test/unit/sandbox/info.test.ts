import { statfs } from "node:fs/promises";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { DEAD, findProcess, judgeProcess, type ProcessIdentity } from "../../../src/host/process-identity.ts";
import { describeRecord, observe } from "../../../src/sandbox/machine/info.ts";
import type { BootReport, MachineRecord } from "../../../src/state/machine-record.ts";
import { ended, recordOf } from "../../support/machine-records.ts";

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  return { ...real, statfs: vi.fn(async () => ({ bavail: 1 << 20, bsize: 4096 })) };
});

type Phase = MachineRecord["status"]["phase"];
type Life = "alive" | "dead" | "none";

let me: ProcessIdentity;
beforeEach(async () => {
  const found = await findProcess(process.pid);
  if (!found) throw new Error("this process is not in the process table");
  me = found;
});

const REPORT: BootReport = {
  ...{ accelerator: "tcg", acceleratorReason: "", startedAt: "2026-01-02T03:04:05.678Z" },
  ...{ way: "template", wayReason: "", phases: [{ name: "image", ms: 1 }] },
};

function record(
  phase: Phase,
  owner: Life,
  qemu: Life,
  known: { persistent?: boolean; reason?: string } = {},
) {
  const process = (life: Life) => (life === "none" ? null : life === "alive" ? me : ended(me));
  const qemuProcess = process(qemu);
  return recordOf("box", {
    persistent: known.persistent ?? true,
    status: { phase, reason: known.reason ?? "", since: "2026-01-02T03:04:05.678Z" },
    owner: process(owner),
    boot: qemuProcess && { qemu: qemuProcess, sshPort: 4022, hostKey: null, cgroup: null, report: REPORT },
  });
}

/** As one who looks from here. */
async function look(seen: MachineRecord) {
  return observe(seen, seen.owner ? await judgeProcess(seen.owner) : DEAD);
}

describe("how a machine stands", () => {
  it.each<[Phase, Life, Life, string, string]>([
    // what the record says, its holder, its QEMU, what is true, why
    ["created", "none", "none", "created", ""],
    ["created", "dead", "none", "created", ""],
    ["stopped", "none", "none", "stopped", ""],
    ["stopped", "dead", "dead", "stopped", ""],
    ["error", "alive", "none", "error", ""],
    ["starting", "alive", "none", "starting", ""],
    ["starting", "alive", "alive", "starting", ""],
    ["starting", "dead", "alive", "error", "its supervisor ended while it was starting"],
    ["starting", "none", "none", "error", "its supervisor ended while it was starting"],
    ["running", "alive", "alive", "running", ""],
    ["running", "alive", "dead", "error", "its QEMU has ended"],
    ["running", "alive", "none", "error", "its QEMU has ended"],
    ["running", "dead", "alive", "error", "its supervisor ended while it was running"],
    ["running", "dead", "dead", "error", "its supervisor ended while it was running"],
    ["paused", "alive", "alive", "paused", ""],
    ["paused", "alive", "dead", "error", "its QEMU has ended"],
    ["paused", "dead", "dead", "error", "its supervisor ended while it was paused"],
    ["stopping", "alive", "dead", "stopping", ""],
    ["stopping", "dead", "dead", "error", "its supervisor ended while it was stopping"],
  ])(
    "%s, held by one who is %s, with a QEMU that is %s: it is %s",
    async (phase, owner, qemu, status, reason) => {
      const seen = await look(record(phase, owner, qemu));
      expect([seen.status, seen.reason]).toEqual([status, reason]);
      expect(seen.figures !== null).toBe(qemu === "alive");
    },
  );

  it("of an ephemeral one tells of the process that made it", async () => {
    const seen = await look(record("running", "dead", "dead", { persistent: false }));
    expect(seen.reason).toBe("the process that made it ended while it was running");
  });

  it.each(["error", "stopped"] as const)("keeps the reason for which it is in %s", async (phase) => {
    expect((await look(record(phase, "none", "none", { reason: "QEMU died" }))).reason).toBe("QEMU died");
  });

  it("is not what another boot of the host left", async () => {
    const stale = record("running", "alive", "alive");
    const { status } = await look({ ...stale, owner: { ...me, bootId: "another" } });
    expect(status).toBe("error");
  });
});

describe("what is told of a machine", () => {
  const WHERE = { folder: "/f", diskBytes: 4096 };
  const figures = { residentBytes: 7, cpuSeconds: 1.5, ageSeconds: 60, isStopped: false };

  it("has figures and the boot where it runs", () => {
    const info = describeRecord(
      record("running", "alive", "alive"),
      { status: "running", reason: "", figures },
      WHERE,
    );
    expect(info).toMatchObject({
      ...{ name: "box", status: "running", statusReason: null, persistent: true, image: "debian" },
      ...{ memSizeMib: 512, vcpuCount: 1, diskSizeMib: 4096, network: "open", labels: {} },
      ...{ startedAt: REPORT.startedAt, uptimeSeconds: 60, ownerPid: process.pid, pid: process.pid },
      ...{ sshPort: 4022, memoryBytes: 7, cpuSeconds: 1.5, diskBytes: 4096, folder: "/f" },
      ...{ boot: REPORT, ttlSeconds: null, idleTimeoutSeconds: null },
    });
  });

  it("has none of that where its QEMU does not live, whatever the record says", () => {
    const seen = { status: "error", reason: "its QEMU has ended", figures: null } as const;
    expect(describeRecord(record("running", "alive", "dead"), seen, WHERE)).toMatchObject({
      ...{ status: "error", statusReason: "its QEMU has ended", startedAt: null, uptimeSeconds: null },
      ...{ pid: null, sshPort: null, boot: null, memoryBytes: null, cpuSeconds: null },
    });
  });

  it("tells times in seconds, and no image where the kernel is one's own", () => {
    const plain = record("stopped", "none", "none");
    const spec = {
      ...{ ...plain.spec, ttlMs: 90_000, idleTimeoutMs: 500 },
      source: { kind: "own", kernelPath: "/k", initrdPath: null, rootfsPath: "/r", bootArgs: "" },
    } as const;
    const seen = { status: "stopped", reason: "", figures: null } as const;
    expect(describeRecord({ ...plain, spec }, seen, WHERE)).toMatchObject({
      ...{ ttlSeconds: 90, idleTimeoutSeconds: 0.5, image: null },
    });
  });
});

describe("a machine whose supervisor ended without writing down why", () => {
  it("is told of with the disk that is full", async () => {
    vi.mocked(statfs).mockResolvedValueOnce({ bavail: 3, bsize: 4096 } as never);
    const seen = await look(record("running", "dead", "dead"));
    expect(seen.reason).toMatch(/^its supervisor ended while it was running; the disk of \/.* is full/);
  });
});
