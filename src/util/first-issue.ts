import * as v from "valibot";

/** What is wrong with a value, as far as its schema was read: "spec.name: Invalid type: …". */
export function firstIssue<T>([issue]: readonly [v.BaseIssue<T>, ...unknown[]]): string {
  return `${v.getDotPath(issue) ?? "the whole"}: ${issue.message}`;
}
