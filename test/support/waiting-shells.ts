import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { SmolVM } from "../../src/index.ts";
import { eventually } from "./eventually.ts";

export type Kind = "login" | "raw";

/** Prints in how many lines of its command line this shell is told what one does that waits. */
const WAITED = "(/bin/grep -ca ' wait[s]' /proc/$$/cmdline || :)";

/** Runs scripts in a machine's shells, and tells which shell it was. */
export function lookInto(getVm: () => SmolVM) {
  /** Whether it was a shell that had been started ahead of time, and what the script printed. */
  async function look(script: string, shell: Kind) {
    const { stdout } = await getVm().run(`${WAITED}\n${script}`, { shell });
    const [lines = "", ...text] = stdout.trimEnd().split("\n");
    expect(lines).toMatch(/^\d+$/);
    return { hasWaited: lines !== "0", text: text.join("\n") };
  }

  /** In a shell that was started ahead of time; the first of its kind finds none. */
  async function lookInWaiting(script: string, shell: Kind): Promise<string> {
    let seen = await look(script, shell);
    const isIt = async () => {
      await sleep(700);
      seen = await look(script, shell);
      return seen.hasWaited;
    };
    await eventually(isIt, `a ${shell} shell has waited`, 60_000);
    return seen.text;
  }

  /** In a shell that was started for it: while another command runs no waiting one is used. */
  async function lookInFresh(script: string, shell: Kind): Promise<string> {
    for await (const { text } of getVm().run("echo up; exec /bin/sleep 100")) {
      expect(text).toBe("up\n");
      const seen = await look(script, shell);
      expect(seen.hasWaited).toBe(false);
      return seen.text;
    }
    throw new Error("the other one printed nothing");
  }

  return { look, lookInWaiting, lookInFresh };
}
