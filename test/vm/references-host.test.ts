import { once } from "node:events";
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { firstLine, startProgram } from "../support/machines.ts";
import { CLONE, named, type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome();
});
afterAll(() => home[Symbol.asyncDispose]());

describe("a program that has run out of files", () => {
  it("takes no template away, nor marks it, and starts from it again once it has some", async () => {
    await SmolVM.use(named(), async () => {});
    const before = home.templates().whole;
    expect(before).toHaveLength(1);
    const body = `import { closeSync, openSync, readdirSync } from "node:fs";
      const taken = [];
      await SmolVM.use(${JSON.stringify(CLONE)}, async () => {});
      const outcomes = [];
      for (const left of [0, 2, 5, 8, 12]) {
        try { for (;;) taken.push(openSync("/dev/null", "r")); } catch {}
        for (let index = 0; index < left; index++) closeSync(taken.pop());
        await SmolVM.use({ ...${JSON.stringify(CLONE)}, template: "auto" }, async () => outcomes.push("up")).catch((error) => outcomes.push(error.code));
      }
      for (const fd of taken) closeSync(fd);
      const way = await SmolVM.use(${JSON.stringify(CLONE)}, async (vm) => (await vm.info()).boot.way);
      tell([outcomes.includes("up"), outcomes.length, way]);`;
    const program = startProgram(body, ["sh", "-c", 'ulimit -n 128; exec "$@"', "sh"], home.env);
    const [, count, way] = (await firstLine(program)) as [boolean, number, string];
    expect([count, way]).toEqual([5, "template"]);
    await once(program, "close");
    expect(home.templates().whole).toEqual(before);
    rmSync(home.state.templates, { recursive: true });
  });
});
