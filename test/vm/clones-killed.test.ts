import { once } from "node:events";
import { mkdirSync, readdirSync } from "node:fs";
import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { firstLine, startProgram } from "../support/machines.ts";
import { CLONE, type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome();
});
afterAll(() => home[Symbol.asyncDispose]());

const OPTIONS = JSON.stringify(CLONE);
const CREATE = `await SmolVM.create(${OPTIONS}); setInterval(() => {}, 1000);`;
const USE = `await SmolVM.use(${OPTIONS}, async (vm) => {
  await vm.run("true", { check: true });
  tell((await vm.info()).boot.way);
});
setInterval(() => {}, 1000);`;

describe("a program that is killed while it starts a clone", () => {
  it("at any step leaves nothing that outlives the next one's start, and the template as it was", async () => {
    const temporary = join(home.state.home, "tmp");
    const ordinary = process.env.TMPDIR;
    process.env.TMPDIR = temporary;
    try {
      // A folder that is not there keeps no template from being made.
      await SmolVM.use(CLONE, async (vm) => expect((await vm.info()).boot?.way).toBe("template"));
    } finally {
      if (ordinary === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = ordinary;
    }
    mkdirSync(temporary);
    const env = { ...home.env, TMPDIR: temporary };
    const templates = home.templates();
    for (const afterMs of [0, 5, 10, 20, 40, 60, 90, 130, 180, 300]) {
      const before = home.machines();
      const program = startProgram(CREATE, [], env);
      const isBegun = () => home.machines().some((name) => !before.includes(name));
      await eventually(isBegun, `a clone is begun (${afterMs} ms)`, 30_000);
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      program.kill("SIGKILL");
      await once(program, "close");
    }
    // What does not tell whose it is may be somebody's who is still at it, for a minute.
    for (const name of home.machines().filter((each) => each.startsWith(".")))
      await utimes(join(home.state.machines, name), 0, 0);
    const next = startProgram(USE, [], env);
    expect(await firstLine(next)).toBe("template");
    await eventually(() => home.machines().length === 0, "all of them are gone").catch((error) => {
      throw new Error(`${error.message}, but there are ${home.machines()}`);
    });
    next.kill();
    await once(next, "close");
    expect(home.templates()).toEqual(templates);
    expect(readdirSync(temporary)).toEqual([]);
  });
});
