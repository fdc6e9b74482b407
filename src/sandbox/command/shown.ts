export type Facts = Readonly<Record<string, string | number | null>>;

/** What `console.log` shows of something: its name and a few facts, nothing of its options, which may hold secrets. */
export function showAs(name: string, facts: Facts): string {
  const shown = Object.entries(facts).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return `${name} { ${shown.join(", ")} }`;
}

/** How it stands with a command or a terminal, to be shown. Its failure is no unhandled rejection from now on. */
export function watchEnding(
  end: Promise<{ readonly exitCode: number; readonly signal: string | null }>,
): () => Facts {
  let facts: Facts = { status: "running" };
  end.then(
    ({ exitCode, signal }) => {
      facts = { status: "exited", exitCode, ...(signal !== null && { signal }) };
    },
    (error) => {
      facts = { status: "failed", error: String(Object(error).code ?? Object(error).name) };
    },
  );
  return () => facts;
}
