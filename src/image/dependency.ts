import { compareVersions } from "../util/debian-version.ts";

type Relation = "<<" | "<=" | "=" | ">=" | ">>";

/** "name (>= 1.2)": one way to satisfy a dependency. */
export interface Requirement {
  readonly name: string;
  readonly version: { readonly relation: Relation; readonly version: string } | null;
}

/** The alternatives of one dependency, the preferred one first. */
export type Dependency = readonly Requirement[];

/** "a (>= 1), b | c:any" of a Depends, Provides or Conflicts field. Clauses that are malformed throw RangeError. */
export function parseDependencies(field: string): Dependency[] {
  return field
    .split(",")
    .map((clause) => clause.trim())
    .filter((clause) => clause !== "")
    .map((clause) => clause.split("|").map((alternative) => parseRequirement(alternative.trim())));
}

// An architecture qualifier (":any", ":native", ":amd64") says nothing where there is only one architecture.
const REQUIREMENT =
  /^([A-Za-z0-9][A-Za-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([0-9A-Za-z][^\s()]*)\s*\))?$/;

function parseRequirement(text: string): Requirement {
  const [, name, relation, version] = REQUIREMENT.exec(text) ?? [];
  if (name === undefined) throw new RangeError(`a dependency that can't be read: ${text}`);
  if (relation === undefined || version === undefined) return { name, version: null };
  return { name, version: { relation: modernRelation(relation), version } };
}

/** "<" and ">" once meant "<=" and ">=", and still do where they are found. */
function modernRelation(relation: string): Relation {
  if (relation === "<") return "<=";
  if (relation === ">") return ">=";
  return relation as Relation;
}

export function satisfies(version: string, requirement: Requirement): boolean {
  if (requirement.version === null) return true;
  const order = compareVersions(version, requirement.version.version);
  switch (requirement.version.relation) {
    case "<<":
      return order < 0;
    case "<=":
      return order <= 0;
    case "=":
      return order === 0;
    case ">=":
      return order >= 0;
    case ">>":
      return order > 0;
  }
}

export function formatDependency(dependency: Dependency): string {
  return dependency
    .map(({ name, version }) => (version ? `${name} (${version.relation} ${version.version})` : name))
    .join(" | ");
}
