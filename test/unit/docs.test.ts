import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SmolVM, type ValidationError } from "../../src/index.ts";
import { REPOSITORY } from "../setup/sources.ts";

it("docs/machines.md has every option of a machine", () => {
  const page = readFileSync(join(REPOSITORY, "docs/machines.md"), "utf8");
  let known: string[] = [];
  try {
    new SmolVM({ none: 1 } as object);
  } catch (error) {
    known = ((error as ValidationError).details as { known: string[] }).known;
  }
  expect(known).toContain("persistent");
  expect(known.filter((option) => !page.includes(`\`${option}\``))).toEqual([]);
});
