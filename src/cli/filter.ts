import type { MachineInfo } from "./api.ts";
import { UsageError } from "./command.ts";

/** What machines are chosen by. A label without a value is there, whatever it holds. */
export type Filter =
  | { readonly kind: "label"; readonly key: string; readonly value: string | null }
  | { readonly kind: "status"; readonly status: MachineInfo["status"] }
  | { readonly kind: "name"; readonly glob: string };

const STATUSES = ["created", "starting", "running", "paused", "stopping", "stopped", "error"] as const;

/** "label=KEY", "label=KEY=VALUE", "status=STATUS" or "name=GLOB", joined to the filters before it. */
export function parseFilter(text: string, previous: unknown): readonly Filter[] {
  return [...((previous as Filter[] | undefined) ?? []), parseOne(text)];
}

/** All labels, and one of the statuses, and one of the names. */
export function matchesFilters(
  { name, status, labels }: Pick<MachineInfo, "name" | "status" | "labels">,
  filters: readonly Filter[],
): boolean {
  const matches = (filter: Filter) => {
    if (filter.kind === "status") return filter.status === status;
    if (filter.kind === "name") return toPattern(filter.glob).test(name);
    const value = Object.hasOwn(labels, filter.key) ? labels[filter.key] : undefined;
    return filter.value === null ? value !== undefined : value === filter.value;
  };
  const anyOf = (kind: Filter["kind"]) => {
    const some = filters.filter((filter) => filter.kind === kind);
    return some.length === 0 || some.some(matches);
  };
  return (
    anyOf("status") && anyOf("name") && filters.every((filter) => filter.kind !== "label" || matches(filter))
  );
}

function parseOne(text: string): Filter {
  const [, kind, rest = ""] = /^(label|status|name)=(.+)$/s.exec(text) ?? [];
  if (kind === "name") return { kind, glob: rest };
  if (kind === "status") {
    const status = STATUSES.find((known) => known === rest);
    if (!status) throw new UsageError(`The statuses are ${STATUSES.join(", ")}.`);
    return { kind, status };
  }
  const [, key, value] = /^([^=]+)(?:=(.*))?$/s.exec(rest) ?? [];
  if (kind === undefined || key === undefined)
    throw new UsageError("Give label=KEY, label=KEY=VALUE, status=STATUS or name=GLOB.");
  return { kind: "label", key, value: value ?? null };
}

/** `*` is any text and `?` any character. */
function toPattern(glob: string): RegExp {
  const pattern = glob
    .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll(/\*+/g, ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${pattern}$`, "s");
}
