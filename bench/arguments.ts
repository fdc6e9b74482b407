import { parseArgs } from "node:util";

export interface BenchOptions {
  /** The sections to run, in the registry's order. */
  readonly only: readonly string[];
  /** Null: each section's own number. */
  readonly rounds: number | null;
  readonly isQuick: boolean;
  readonly showsReadme: boolean;
  readonly isCheck: boolean;
}

export class UsageError extends Error {}

/** `optional` sections run only where `--only` names them. UsageError for anything else than what `USAGE` says. */
export function parseArguments(
  argv: readonly string[],
  sections: readonly { readonly name: string; readonly isOptional?: boolean }[],
): BenchOptions | "help" {
  const { values } = parse(argv);
  if (values.help) return "help";
  return {
    only: parseOnly(values.only, sections),
    rounds: parseRounds(values.rounds),
    isQuick: values.quick ?? false,
    showsReadme: values.readme ?? false,
    isCheck: values.check ?? false,
  };
}

export const USAGE = `Usage: npm run bench -- [--only a,b] [--rounds N] [--quick] [--readme] [--check]

  --only a,b   only these sections
  --rounds N   samples of each contestant, instead of each section's own number
  --quick      few rounds: to see that it works, not for figures to quote
  --readme     print the table of costs for the README as well (Markdown)
  --check      exit status 1 unless each stated aim of the sections that ran is met
`;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: "string", multiple: true },
        rounds: { type: "string" },
        quick: { type: "boolean" },
        readme: { type: "boolean" },
        check: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function parseOnly(
  only: readonly string[] | undefined,
  sections: readonly { readonly name: string; readonly isOptional?: boolean }[],
): readonly string[] {
  if (only === undefined) return sections.filter(({ isOptional }) => !isOptional).map(({ name }) => name);
  const asked = only.flatMap((list) => list.split(",")).map((name) => name.trim());
  const known = sections.map(({ name }) => name);
  const unknown = asked.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`There is no section "${unknown}"; there are ${known.join(", ")}.`);
  return known.filter((name) => asked.includes(name));
}

function parseRounds(rounds: string | undefined): number | null {
  if (rounds === undefined) return null;
  if (!/^[1-9]\d{0,4}$/.test(rounds))
    throw new UsageError(`--rounds takes a whole number from 1, not "${rounds}".`);
  return Number(rounds);
}
