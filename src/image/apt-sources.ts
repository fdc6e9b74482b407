import { type Paragraph, parseDeb822 } from "../util/deb822.ts";
import { trimEndOf } from "../util/trim-end.ts";

/** The addresses of Debian's archives as a host's APT sources name them, without a trailing slash. */
export interface DebianSources {
  readonly archive: string | undefined;
  readonly security: string | undefined;
}

/** A file of /etc/apt: `sources.list`, or `*.list` and `*.sources` of sources.list.d. */
export interface SourcesFile {
  readonly name: string;
  readonly text: string;
}

interface Source {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

/** The first entry that is Debian's own archive, and the first that is its security archive; third parties' are passed over. */
export function findDebianSources(files: readonly SourcesFile[]): DebianSources {
  const sources = files.flatMap((file) =>
    file.name.endsWith(".sources") ? parseDeb822Sources(file.text) : parseOneLineSources(file.text),
  );
  return {
    archive: sources.find((source) => isDebian(source, "debian", ""))?.uri,
    security: sources.find((source) => isDebian(source, "debian-security", "-security"))?.uri,
  };
}

const RELEASES = [
  "bullseye",
  "bookworm",
  "trixie",
  "forky",
  "duke",
  "sid",
  "oldoldstable",
  "oldstable",
  "stable",
  "testing",
  "unstable",
];

/** Others offer `…/debian` too, but neither Debian's suites nor its component "main". */
function isDebian(source: Source, folder: string, suiteEnding: string): boolean {
  const url = URL.canParse(source.uri) ? new URL(source.uri) : undefined;
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:") || url.username !== "") return false;
  return (
    url.pathname.split("/").at(-1) === folder &&
    source.components.includes("main") &&
    source.suites.some((suite) => RELEASES.some((release) => suite === release + suiteEnding))
  );
}

function parseDeb822Sources(text: string): Source[] {
  return parseDeb822(text)
    .filter(
      (entry) =>
        words(entry, "types").includes("deb") && !/^(no|false|0|off)$/i.test(entry.get("enabled") ?? ""),
    )
    .flatMap((entry) =>
      words(entry, "uris").map((uri) => ({
        uri: withoutSlash(uri),
        suites: words(entry, "suites"),
        components: words(entry, "components"),
      })),
    );
}

function words(entry: Paragraph, field: string): string[] {
  return (entry.get(field) ?? "").split(/\s+/).filter((word) => word !== "");
}

/** "deb [ options ] uri suite component…" */
function parseOneLineSources(text: string): Source[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    if (!match) return [];
    const [, uri = "", suite = "", components = ""] = match;
    return [{ uri: withoutSlash(uri), suites: [suite], components: components.trim().split(/\s+/) }];
  });
}

function withoutSlash(uri: string): string {
  return trimEndOf(uri, "/");
}
