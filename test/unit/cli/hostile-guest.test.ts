import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { runCli } from "../../../src/cli/cli.ts";
import { quoteForShell } from "../../../src/cli/text.ts";
import { BootError, CommandExecutionUnavailableError } from "../../../src/errors.ts";
import { fakeIo } from "../../setup/fake-io.ts";
import { fakeMachines, performWith } from "../../support/fake-machines.ts";

const EVIL = "\u001b[2J\u001b]0;owned\u0007\u009b1m\u202etxt\nforged running";
/** What a terminal would obey, and a line that no command of ours has written. */
const STEERS = /[^\P{Cc}\n\t]|\u202e|^forged/mu;

const machine = {
  name: "web",
  status: "error",
  statusReason: EVIL,
  labels: { [EVIL]: EVIL },
  boot: { way: "cold", wayReason: EVIL, accelerator: "tcg", phases: [] },
} as never;
const bootError = new BootError(`It did not start: ${EVIL}`, {
  commandLine: EVIL,
  qemuOutput: EVIL,
  consoleTail: `${EVIL}\r\n${EVIL}`,
});
const failures = {
  start: bootError,
  listEnvVars: new CommandExecutionUnavailableError("vm-1", EVIL, `Do this: ${EVIL}`),
};
const perform = (argv: readonly string[], options = {}) =>
  performWith(fakeMachines([machine], { broken: failures }), argv, options);

describe("what a guest says", () => {
  it.each([
    ["ls", "-a"],
    ["inspect", "web"],
  ])("%s %s shows it tamed, on a line of its own", async (...argv) => {
    for (const isTTY of [true, false]) {
      const { out, err } = await perform(argv, { isTTY });
      expect(out).toContain("\\x1b[2J");
      expect(out + err).not.toMatch(STEERS);
    }
  });

  it.each([["start", "web"], ["start", "web", "web2"], ["env", "web"], ["exec", EVIL, "x"], [EVIL]])(
    "a refusal of %j has nothing that steers",
    async (...argv) => {
      const { out, err } = await perform(argv);
      expect(err).toContain("\\x1b[2J");
      expect(out + err).not.toMatch(/[^\P{Cc}\n\t]|\u202e/u);
    },
  );

  it("is escaped in JSON, and comes out of it as it was", async () => {
    const { out } = await perform(["ls", "-a", "--json"]);
    expect(out).not.toMatch(/[^\P{Cc}\n\t]|\u202e/u);
    expect(JSON.parse(out).machines[0].statusReason).toBe(EVIL);
  });

  it("is a variable that a shell reads back exactly, and that steers nothing", () => {
    for (const value of [EVIL, "it's \\ '$HOME' `x`\u001b\n", "\u0001\u007f"]) {
      const quoted = quoteForShell(value);
      expect(quoted).not.toMatch(/[^\P{Cc}\n\t]|\u202e/u);
      const read = execFileSync("bash", ["-c", `printf %s ${quoted}`], { encoding: "utf8" });
      expect(read).toBe(value);
    }
  });

  it("is tamed in the line of progress", async () => {
    const more = {
      start: async ({ onProgress }: { onProgress: (event: object) => void }) =>
        onProgress({ phase: "build", message: EVIL }),
    };
    const io = fakeIo(fakeMachines([{}], { more }).api, { isTTY: true });
    expect(await runCli(["start", "web"], io)).toBe(0);
    expect(io.err().replaceAll("\r\u001b[K", "")).not.toMatch(STEERS);
  });
});
