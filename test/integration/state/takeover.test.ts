import { readdir, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VMAlreadyExistsError } from "../../../src/errors.ts";
import { isAlive } from "../../../src/host/process-identity.ts";
import { removeUnheld } from "../../../src/sandbox/remote/unheld.ts";
import { findLeftovers } from "../../../src/sandbox/upkeep/leftovers.ts";
import {
  claimMachineFolder,
  findMachine,
  isBad,
  removeAbandoned,
} from "../../../src/state/machine-folder.ts";
import { ended, recordOf } from "../../support/machine-records.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const left = () => folder.put("box", { owner: ended(folder.me) });
const claim = () => claimMachineFolder(folder.state, recordOf("box", { owner: folder.me }));

async function idOf(name: string): Promise<string | undefined> {
  const found = await findMachine(folder.state, name);
  return found && !isBad(found.record) ? found.record.spec.id : undefined;
}

describe("a name that a dead creator's machine has", () => {
  it("goes to exactly one who wants it, and what others remove meanwhile is never his", {
    timeout: 60_000,
  }, async () => {
    for (let round = 0; round < 12; round++) {
      const { record } = await left();
      const [leftover] = await findLeftovers(folder.state);
      const wanted = Array.from({ length: 4 }, () => recordOf("box", { owner: folder.me }));
      const claims = wanted.map((each) => claimMachineFolder(folder.state, each));
      const removals = [
        leftover?.remove?.(),
        removeUnheld(folder.state, "box", record.spec.id),
        removeAbandoned(folder.state, "box"),
      ];
      const settled = await Promise.allSettled(claims);
      await Promise.all(removals);
      const won = settled.flatMap(({ status }, at) => (status === "fulfilled" ? [wanted[at]?.spec.id] : []));
      expect(won, `round ${round}`).toHaveLength(1);
      expect(await idOf("box"), `round ${round}`).toBe(won[0]);
      for (const each of settled)
        if (each.status === "rejected") expect(each.reason).toBeInstanceOf(VMAlreadyExistsError);
      expect(await readdir(folder.state.machines)).toEqual(["box"]);
      await removeUnheld(folder.state, "box", "another");
      expect(await idOf("box")).toBe(won[0]);
      await folder.put("box", { owner: ended(folder.me) });
      await removeAbandoned(folder.state, "box");
    }
  });

  it("is free only when what ran of that machine has ended", async () => {
    await left();
    const qemu = await folder.spawnOwned("box");
    await claim();
    expect(await isAlive(qemu)).toBe(false);
  });
});

describe("removing a machine that nobody holds", () => {
  it.each([
    ["at rest", { persistent: true, wasBooted: true, owner: null }],
    ["whose supervisor died", { persistent: true, wasBooted: true, owner: "dead" }],
    ["that is ephemeral, and whose creator died", { owner: "dead" }],
  ])("takes one %s, with what runs of it", async (_, { owner, ...known }) => {
    const { record } = await folder.put("box", { ...known, owner: owner ? ended(folder.me) : null });
    const qemu = await folder.spawnOwned("box");
    await removeUnheld(folder.state, "box", record.spec.id);
    expect(await readdir(folder.state.machines)).toEqual([]);
    expect(await isAlive(qemu)).toBe(false);
  });

  it("is done once, however many ask for it at once", async () => {
    const { record } = await folder.put("box", { persistent: true, wasBooted: true });
    await Promise.all(Array.from({ length: 8 }, () => removeUnheld(folder.state, "box", record.spec.id)));
    expect(await readdir(folder.state.machines)).toEqual([]);
  });

  it("refuses one that a living program has made, and names it", async () => {
    const { record } = await folder.put("box", { owner: folder.me });
    await expect(removeUnheld(folder.state, "box", record.spec.id)).rejects.toMatchObject({
      code: "UNRESPONSIVE",
      remediation: expect.stringContaining(`kill ${process.pid}`),
    });
    expect(await idOf("box")).toBe(record.spec.id);
  });

  it("ends a supervisor that does not answer", async () => {
    const supervisor = await folder.spawnOwned("other");
    const known = { persistent: true, wasBooted: true, owner: supervisor };
    const { record, paths } = await folder.put("box", known);
    await writeFile(paths.lock, JSON.stringify(supervisor));
    await removeUnheld(folder.state, "box", record.spec.id);
    expect(await isAlive(supervisor)).toBe(false);
  });

  it("never ends the program that makes it and has no supervisor yet", async () => {
    const maker = await folder.spawnOwned("other");
    const { record } = await folder.put("box", { persistent: true, owner: maker });
    await removeUnheld(folder.state, "box", record.spec.id);
    expect(await isAlive(maker)).toBe(true);
  });

  it("leaves one alone that a supervisor has taken over and not yet written down", async () => {
    const supervisor = await folder.spawnOwned("other");
    const { paths } = await folder.put("box", { persistent: true, owner: ended(supervisor) });
    await writeFile(paths.lock, JSON.stringify(supervisor));
    expect(await removeAbandoned(folder.state, "box")).toBe(false);
    expect(await idOf("box")).not.toBe(undefined);
  });
});
