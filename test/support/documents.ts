import { readSources, type SourceFile } from "../setup/sources.ts";

/** What people read: `docs/` and the two pages beside it. CHANGELOG.md tells of what was, too. */
export const PAGES: readonly SourceFile[] = [
  ...readSources("docs", [".md"]),
  ...readSources(".", [".md"]).filter(({ path }) => ["README.md", "CONTRIBUTING.md"].includes(path)),
];

/** `docs/` alone. */
export const DOCS: readonly SourceFile[] = PAGES.filter(({ path }) => path.startsWith("docs/"));

export interface Section {
  readonly title: string;
  /** What a link to it ends with. */
  readonly anchor: string;
  readonly text: string;
}

export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function pageOf(path: string): string {
  const page = PAGES.find((each) => each.path === path);
  if (!page) throw new Error(`there is no page ${path}`);
  return page.text;
}

/** The parts below each heading, down to the next one of any level. */
export function sectionsOf(text: string): Section[] {
  const sections: { title: string; anchor: string; lines: string[] }[] = [];
  let isCode = false;
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) isCode = !isCode;
    const title = isCode ? undefined : /^#{1,6} (.+)$/.exec(line)?.[1];
    if (title !== undefined) sections.push({ title, anchor: anchorOf(title), lines: [] });
    else sections.at(-1)?.lines.push(line);
  }
  return sections.map(({ title, anchor, lines }) => ({ title, anchor, text: lines.join("\n") }));
}

export function sectionOf(path: string, anchor: string): Section {
  const section = sectionsOf(pageOf(path)).find((each) => each.anchor === anchor);
  if (!section) throw new Error(`${path} has no section #${anchor}`);
  return section;
}

/** As GitHub makes it from a heading. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

export function tablesOf(text: string): Table[] {
  const tables: { header: string[]; rows: string[][] }[] = [];
  let before = "";
  for (const line of text.split("\n")) {
    if (/^\|[-:| ]+\|$/.test(line)) tables.push({ header: cellsOf(before), rows: [] });
    else if (line.startsWith("|") && before.startsWith("|")) tables.at(-1)?.rows.push(cellsOf(line));
    before = line;
  }
  return tables;
}

function cellsOf(row: string): string[] {
  return row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** What stands between single backticks. */
export function spansOf(text: string): string[] {
  return [...text.replaceAll(/```.*?```/gs, "").matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "");
}

/** Lines of code: spans, and the lines of blocks, be they fenced or indented. */
export function codeOf(text: string): string[] {
  const fenced = [...text.matchAll(/```\w*\n(.*?)```/gs)].flatMap((match) => (match[1] ?? "").split("\n"));
  const indented = text.match(/^ {4}\S.*$/gm) ?? [];
  return [...spansOf(text), ...fenced, ...indented];
}

/** The links of a page to other files of the repository, and to places in them. */
export function linksOf(text: string): { readonly file: string; readonly anchor: string | undefined }[] {
  return [...text.matchAll(/\]\(([^)\s]*)\)/g)]
    .map((match) => match[1] ?? "")
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = "", anchor] = target.split("#");
      return { file, anchor };
    });
}
