import { ImageError } from "../errors.ts";
import { type Dependency, formatDependency } from "./dependency.ts";
import { meets, type Package, type PackageIndex } from "./packages.ts";

/**
 * The packages named and all they depend on, sorted by name. Of alternatives, one that is in the set already is
 * taken, else the first that can be had. Throws ImageError naming what can't be satisfied and who wants it.
 */
export function resolvePackages(index: PackageIndex, names: readonly string[]): Package[] {
  const chosen = new Map<string, Package>();
  for (const name of names) chosen.set(name, findNamed(index, name));
  // A Map hands out what is added while it is walked: the loop ends when nothing new is wanted.
  for (const wanting of chosen.values()) {
    for (const dependency of wanting.depends) {
      if ([...chosen.values()].some((candidate) => isMetBy(candidate, dependency))) continue;
      const found = firstCandidate(index, dependency, chosen);
      if (!found) throw unsatisfied(wanting, dependency);
      chosen.set(found.name, found);
    }
  }
  const set = [...chosen.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  refuseConflicts(set);
  return set;
}

function findNamed(index: PackageIndex, name: string): Package {
  const found = index.find(name) ?? index.candidates({ name, version: null })[0];
  if (!found) throw new ImageError(`The archive has no package ${name}.`, { details: { package: name } });
  return found;
}

function isMetBy(candidate: Package, dependency: Dependency): boolean {
  return dependency.some((requirement) => meets(candidate, requirement));
}

/** Only one version of a package can be installed, so a second one is no candidate. */
function firstCandidate(
  index: PackageIndex,
  dependency: Dependency,
  chosen: ReadonlyMap<string, Package>,
): Package | undefined {
  return dependency
    .flatMap((requirement) => index.candidates(requirement))
    .find((candidate) => !chosen.has(candidate.name) && !conflictWith(candidate, chosen));
}

function conflictWith(candidate: Package, chosen: ReadonlyMap<string, Package>): Package | undefined {
  return [...chosen.values()].find((other) => excludes(candidate, other) || excludes(other, candidate));
}

function refuseConflicts(set: readonly Package[]): void {
  for (const one of set) {
    const other = set.find((candidate) => excludes(one, candidate));
    if (other) {
      throw new ImageError(
        `The packages ${one.name} ${one.version} and ${other.name} ${other.version} exclude each other.`,
        {
          details: { packages: [one.name, other.name] },
        },
      );
    }
  }
}

/** A package that conflicts with what it provides itself means the others that do. */
function excludes(one: Package, other: Package): boolean {
  return one.name !== other.name && one.conflicts.some((conflict) => isMetBy(other, conflict));
}

function unsatisfied(wanting: Package, dependency: Dependency): ImageError {
  const wanted = formatDependency(dependency);
  return new ImageError(
    `${wanting.name} ${wanting.version} needs ${wanted}, which the archive doesn't have.`,
    {
      details: { package: wanting.name, dependency: wanted },
    },
  );
}
