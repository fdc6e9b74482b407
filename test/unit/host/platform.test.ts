import { describe, expect, it } from "vitest";
import { HostError } from "../../../src/errors.ts";
import { exitInfo, exitInfoFromShell } from "../../../src/host/exit-info.ts";
import { here } from "../../../src/host/place.ts";
import { hostArch } from "../../../src/host/platform.ts";

describe("the host's architecture", () => {
  it.each([
    ["x64", "x86_64"],
    ["arm64", "aarch64"],
  ])("%s is called %s", (node, ours) => {
    expect(hostArch(node)).toBe(ours);
  });

  it("is refused by name where no guest could match it", () => {
    expect(() => hostArch("mips")).toThrow(HostError);
    expect(() => hostArch("mips")).toThrow("mips");
  });
});

describe("the boot id", () => {
  it("is the same each time it is asked", () => {
    expect(here().bootId).toMatch(/^[0-9A-Fa-f-]{36}$/);
    expect(here()).toBe(here());
  });
});

describe("how a process ended", () => {
  it.each([
    [0, null, { exitCode: 0, signal: null }],
    [7, null, { exitCode: 7, signal: null }],
    [null, "SIGKILL", { exitCode: 137, signal: "SIGKILL" }],
    [null, "SIGTERM", { exitCode: 143, signal: "SIGTERM" }],
  ] as const)("Node's %s, %s", (code, signal, expected) => {
    expect(exitInfo(code, signal)).toEqual(expected);
  });

  it.each([
    [0, { exitCode: 0, signal: null }],
    [125, { exitCode: 125, signal: null }],
    [137, { exitCode: 137, signal: "SIGKILL" }],
    [255, { exitCode: 255, signal: null }],
  ])("a shell's %s", (status, expected) => {
    expect(exitInfoFromShell(status)).toEqual(expected);
  });
});
