import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostError } from "../../../src/errors.ts";
import { hostArch } from "../../../src/host/platform.ts";
import { type AcceleratorRequest, chooseAccelerator } from "../../../src/qemu/accelerator.ts";
import { statePaths } from "../../../src/state/paths.ts";
import { FAKE_QEMU } from "./fake-qemu.ts";

const QEMU = {
  ...FAKE_QEMU,
  arch: hostArch(),
  features: { ...FAKE_QEMU.features, accelerators: ["kvm", "tcg"] },
};

let home: string;
let device: string;
let trials: number;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "smolvm-accelerator-"));
  device = join(home, "kvm");
  writeFileSync(device, "");
  trials = 0;
});

afterEach(() => rmSync(home, { recursive: true }));

/** A request whose trial guest does what the fake QEMU's `script` says. */
function request(script: string, more: Partial<AcceleratorRequest> = {}): AcceleratorRequest {
  return {
    requested: "auto",
    arch: hostArch(),
    state: statePaths({ SMOLVM_HOME: home }),
    qemu: QEMU,
    kvmDevice: device,
    trialGuest: async () => {
      trials++;
      return { kernel: "/k", initramfs: "/i", bootArgs: `fake=${script.replaceAll(" ", "-")}`, digest: "1" };
    },
    ...more,
  };
}

describe("choosing an accelerator", () => {
  it("takes KVM where a guest comes up under it", async () => {
    const choice = await chooseAccelerator(request("ready"));
    expect(choice.accelerator).toBe("kvm");
    expect(choice.reason).toMatch(/^kvm: a guest came up in [\d.]+ s$/);
    expect(choice.candidates).toHaveLength(1);
  });

  it.each([
    ["ends at once", "QEMU did not start: out of luck"],
    ["failed", "the guest could not start: no disk /dev/vda"],
    ["stuck", "the accelerator gave up on the guest: QEMU's internal error"],
  ])("takes emulation where KVM opens but its guest %s, and says why", async (script, why) => {
    const choice = await chooseAccelerator(request(script));
    expect(choice.accelerator).toBe("tcg");
    expect(choice.reason).toBe(`kvm: /dev/kvm opens, but ${why}; tcg: QEMU emulates the processor`);
    expect(choice.candidates.map(({ works }) => works)).toEqual([false, true]);
  });

  it("remembers what it found out, until it is to try again or the kernel or QEMU change", async () => {
    const first = await chooseAccelerator(request("ends at once"));
    expect(await chooseAccelerator(request("ready"))).toEqual(first);
    expect((await chooseAccelerator(request("ready", { fresh: true }))).accelerator).toBe("kvm");
    expect((await chooseAccelerator(request("ends at once"))).accelerator).toBe("kvm");
    const other = { ...QEMU, features: { ...QEMU.features, version: "9.0.0" } };
    expect((await chooseAccelerator(request("ends at once", { qemu: other }))).accelerator).toBe("tcg");
  });

  it("does not believe a damaged memory", async () => {
    await chooseAccelerator(request("ends at once"));
    const { verdicts } = statePaths({ SMOLVM_HOME: home });
    writeFileSync(verdicts, readFileSync(verdicts, "utf8").slice(0, -10));
    expect((await chooseAccelerator(request("ready"))).accelerator).toBe("kvm");
  });

  it("does not try what can't work", async () => {
    const gone = await chooseAccelerator(request("ready", { kvmDevice: join(home, "nothing") }));
    expect(gone.candidates[0]).toMatchObject({
      works: false,
      reason: `there is no ${join(home, "nothing")} on this host`,
    });
    const without = { ...QEMU, features: FAKE_QEMU.features };
    expect((await chooseAccelerator(request("ready", { qemu: without }))).reason).toContain(
      "was built without it",
    );
    const foreign = { ...QEMU, arch: hostArch() === "x86_64" ? ("aarch64" as const) : ("x86_64" as const) };
    expect((await chooseAccelerator(request("ready", { qemu: foreign }))).reason).toContain(
      "and this host is",
    );
    expect((await chooseAccelerator(request("ready", { requested: "tcg" }))).accelerator).toBe("tcg");
    expect(trials).toBe(0);
  });

  it("refuses one that was asked for by name and does not work, with the reason and what helps", async () => {
    const error = await chooseAccelerator(request("ends at once", { requested: "kvm" })).catch(
      (failure) => failure,
    );
    expect(error).toBeInstanceOf(HostError);
    expect(error.message).toBe(
      'The accelerator "kvm" does not work on this host: /dev/kvm opens, but QEMU did not start: out of luck.',
    );
    expect(error.remediation).toContain('"tcg"');
    const missing = request("ready", { requested: "kvm", kvmDevice: join(home, "nothing") });
    await expect(chooseAccelerator(missing)).rejects.toMatchObject({
      remediation: expect.stringContaining("modprobe"),
    });
  });

  it("keeps no verdict of a trial that was aborted", async () => {
    const signal = AbortSignal.timeout(150);
    await expect(chooseAccelerator(request("silent", { signal }))).rejects.toMatchObject({
      code: "OPERATION_ABORTED",
    });
    expect((await chooseAccelerator(request("ready"))).accelerator).toBe("kvm");
  });
});
