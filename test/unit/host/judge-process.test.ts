import { describe, expect, it } from "vitest";
import {
  findProcess,
  findSelf,
  judgeProcess,
  type ProcessIdentity,
} from "../../../src/host/process-identity.ts";

const NOBODY = 2 ** 30;

/** The process that started this one, as it would be written down, with what is changed about it. */
async function parent(change: Partial<ProcessIdentity> = {}): Promise<ProcessIdentity> {
  const found = await findProcess(process.ppid);
  if (!found) throw new Error("this process has no parent");
  return { ...found, ...change };
}

const elsewhere = { namespaces: "pid:[1] time:[1]" };
const earlier = { namespaces: undefined, host: undefined };

describe("whether a process lives", () => {
  it.each<[string, Partial<ProcessIdentity>, string, string]>([
    ["that does", {}, "alive", ""],
    ["whose id belongs to another one", { startedAt: "1" }, "dead", ""],
    ["whose id nobody has", { pid: NOBODY }, "dead", ""],
    ["of an earlier start of this host", { bootId: "b" }, "dead", ""],
    ["of another host", { bootId: "b", host: "h" }, "unknown", "another host"],
    ["of no host that is known", { bootId: "b", host: "" }, "unknown", "another host"],
    ["of another container", { ...elsewhere, pid: NOBODY }, "unknown", "another PID namespace"],
    ["of another container, whose id is used here", { ...elsewhere, startedAt: "1" }, "unknown", "container"],
    ["of an earlier version, that does", earlier, "alive", ""],
    ["of an earlier version, whose id nobody has", { ...earlier, pid: NOBODY }, "unknown", "PID namespace"],
    ["of an earlier version, and another start", { ...earlier, bootId: "b" }, "unknown", "another host"],
    ["of a host that hides its boot id", { bootId: "", pid: NOBODY }, "unknown", "boot_id"],
    ["of such a host, that does", { bootId: "" }, "alive", ""],
    ["of which it could not be seen when it started", { startedAt: "" }, "unknown", "when process"],
    ["of which that could not be seen, and whose id nobody has", { startedAt: "", pid: NOBODY }, "dead", ""],
  ])("%s is told, or that it can't be told", async (_, change, life, why) => {
    const verdict = await judgeProcess(await parent(change));
    expect(verdict).toEqual({ life, why: why === "" ? "" : expect.stringContaining(why) });
  });

  it("is known of itself in any case", async () => {
    expect(await judgeProcess(await findSelf())).toEqual({ life: "alive", why: "" });
  });
});
