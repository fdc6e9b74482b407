import type { Api } from "../api.ts";
import type { Names } from "../command.ts";

/** What may stand in the place of the last word, and a word on what it is. */
export type Candidate = readonly [text: string, meaning?: string];

/** They are built where they are missing. */
const BUILT_IN = ["debian", "tiny"];

const LISTS: Readonly<Record<Names, (api: Api) => Promise<Candidate[]>>> = {
  machine: async ({ SmolVM }) => (await SmolVM.list()).map(({ name, status }) => [name, status]),
  snapshot: async ({ SmolVM }) =>
    (await SmolVM.listSnapshots()).map(({ name, sourceName }) => [name, `of ${sourceName}`]),
  image: async ({ listImages }) => {
    const names = (await listImages()).map(({ name }) => name);
    return [...new Set([...BUILT_IN, ...names])].map((name) => [name]);
  },
};

/** All names of that kind on this host. */
export function listNames(names: Names, api: Api): Promise<Candidate[]> {
  return LISTS[names](api);
}
