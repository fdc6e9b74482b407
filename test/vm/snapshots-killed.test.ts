import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { savedMachinePaths } from "../../src/state/paths.ts";
import { eventually } from "../support/eventually.ts";
import { firstLine, startProgram } from "../support/machines.ts";
import { clearAfterFailures } from "../support/own-machines.ts";
import { CLONE, named, type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(async () => {
  await using _ = home;
  expect({ machines: home.machines(), drafts: drafts() }).toEqual({ machines: [], drafts: [] });
});
/** Whatever outlives no scope goes through this. */
const own = clearAfterFailures();

/** A program looks no more often for what others left. */
const LOOKS_EVERY_MS = 1_000;

const inSnapshots = () => (existsSync(home.state.snapshots) ? readdirSync(home.state.snapshots) : []);
const drafts = () => inSnapshots().filter((name) => name.startsWith("."));

const WORK = `const vm = await SmolVM.create(${JSON.stringify({ ...CLONE, image: "debian" })});
  await vm.run("echo here >/root/mark", { check: true });
  tell(vm.name);`;

describe("a program that is killed", () => {
  it("at any step of a snapshot or a fork leaves nothing, or a snapshot that is whole", async () => {
    await SmolVM.use({ ...CLONE, image: "debian" }, async (vm) => vm.run("true"));
    const draftHas = (file: "memory" | "state" | "record" | "disk") => () =>
      drafts().some((name) =>
        existsSync(savedMachinePaths(join(home.state.snapshots, name), "snapshot")[file]),
      );
    const isPublished = () => inSnapshots().includes("of-the-dead");
    const manyMachines = () => home.machines().length > 2;
    const steps: [string, string, () => boolean][] = [
      ["the draft is there", "snapshot", () => drafts().length > 0],
      ["its memory is mapped", "snapshot", draftHas("memory")],
      ["the disk is frozen", "snapshot", draftHas("disk")],
      ["the state is written", "snapshot", draftHas("state")],
      ["the record is written", "snapshot", () => draftHas("record")() || isPublished()],
      ["it has its name", "snapshot", isPublished],
      ["forks are made", "fork", manyMachines],
    ];
    for (const [what, verb, isReached] of steps) {
      const call = verb === "snapshot" ? `vm.snapshot("of-the-dead")` : "vm.fork({ count: 4 })";
      const program = startProgram(`${WORK} await ${call}; setInterval(() => {}, 1000);`, [], home.env);
      await firstLine(program);
      await eventually(isReached, what, 30_000);
      program.kill("SIGKILL");
      await once(program, "close");
      await sleep(LOOKS_EVERY_MS); // else a start may not look, as one before it has
      await SmolVM.use(named(), async (vm) => vm.run("true", { check: true }));
      await eventually(
        () => home.machines().length === 0 && drafts().length === 0,
        `nothing is left (${what})`,
      );
      if (!isPublished()) continue;
      const copy = await own(SmolVM.restore("of-the-dead"));
      expect((await copy.run("cat /root/mark")).output).toBe("here");
      await copy.delete();
      await SmolVM.deleteSnapshot("of-the-dead");
    }
  }, 300_000);
});
