import { createHash } from "node:crypto";
import { ImageError } from "../errors.ts";
import { parseDeb822 } from "../util/deb822.ts";
import type { Deb } from "./deb.ts";
import type { TarMember } from "./tar.ts";

/** dpkg's records of packages that are unpacked and wait for `dpkg --configure`, as dpkg itself would have written them. */
export interface DpkgDatabase {
  /** Notes a package down and returns its own files of dpkg's database. */
  add(deb: Deb): TarMember[];
  /** The files that tell of all packages together. */
  finish(): TarMember[];
}

const INFO = "var/lib/dpkg/info";

export function openDpkgDatabase(): DpkgDatabase {
  const paragraphs: string[] = [];
  const fileTriggers: string[] = [];
  const namedTriggers = new Map<string, string[]>();
  return {
    add(deb) {
      const control = controlText(deb);
      const name = infoName(control);
      paragraphs.push(statusParagraph(control, deb));
      for (const { trigger, noAwait } of interests(deb)) {
        const line = `${name}${noAwait ? "/noawait" : ""}`;
        if (trigger.startsWith("/")) fileTriggers.push(`${trigger} ${line}`);
        else namedTriggers.set(trigger, [...(namedTriggers.get(trigger) ?? []), line]);
      }
      return infoFiles(deb, name);
    },
    finish: () => [
      textFile("var/lib/dpkg/status", `${paragraphs.sort().join("\n")}`),
      textFile("var/lib/dpkg/available", ""),
      textFile("var/lib/dpkg/diversions", ""),
      textFile(`${INFO}/format`, "1\n"),
      textFile("var/lib/dpkg/triggers/File", lines(fileTriggers)),
      textFile("var/lib/dpkg/triggers/Unincorp", ""),
      ...[...namedTriggers].map(([trigger, who]) => textFile(`var/lib/dpkg/triggers/${trigger}`, lines(who))),
    ],
  };
}

export function textFile(path: string, text: string, mode = 0o644): TarMember {
  return { path, type: "file", mode, uid: 0, gid: 0, mtimeSeconds: 0, data: Buffer.from(text) };
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join("");
}

function controlText(deb: Deb): string {
  const text = controlFile(deb, "control");
  if (text === undefined) throw new ImageError("A package has no control file.");
  return `${text.trimEnd()}\n`;
}

function controlFile(deb: Deb, name: string): string | undefined {
  const data = deb.control.find(({ path }) => path === name)?.data;
  return data === undefined ? undefined : Buffer.from(data).toString("utf8");
}

/** Packages of which several architectures can be installed at once have theirs in the names of their files. */
function infoName(control: string): string {
  const fields = parseDeb822(control)[0];
  const name = fields?.get("package") ?? "";
  if (!/^[a-z0-9][a-z0-9+.-]+$/.test(name))
    throw new ImageError(`A package is called ${JSON.stringify(name)}.`);
  return fields?.get("multi-arch") === "same" ? `${name}:${fields.get("architecture")}` : name;
}

function statusParagraph(control: string, deb: Deb): string {
  const withStatus = control.replace(/^(Package: .*\n)/, "$1Status: install ok unpacked\n");
  const conffiles = conffileHashes(deb);
  return conffiles.length === 0
    ? withStatus
    : `${withStatus}Conffiles:\n${conffiles.map((line) => ` ${line}\n`).join("")}`;
}

/** dpkg would unpack them under another name and only note their hashes when it configures; they are in place already. */
function conffileHashes(deb: Deb): string[] {
  const data = new Map(deb.data.map((member) => [`/${member.path}`, member.data]));
  return (controlFile(deb, "conffiles") ?? "").split("\n").flatMap((line) => {
    const path = line.trim();
    const content = data.get(path);
    return content === undefined ? [] : [`${path} ${createHash("md5").update(content).digest("hex")}`];
  });
}

function infoFiles(deb: Deb, name: string): TarMember[] {
  const control = deb.control.filter(
    ({ path, data }) => path !== "control" && !path.includes("/") && data !== undefined,
  );
  return [
    textFile(`${INFO}/${name}.list`, lines(["/.", ...deb.data.map(({ path }) => `/${path}`)])),
    ...control.map((member) => ({ ...member, path: `${INFO}/${name}.${member.path}` })),
  ];
}

function interests(deb: Deb): { trigger: string; noAwait: boolean }[] {
  const text = controlFile(deb, "triggers") ?? "";
  return text.split("\n").flatMap((line) => {
    const [, kind, trigger] = /^\s*(interest(?:-await|-noawait)?)\s+(\S+)/.exec(line) ?? [];
    return kind && trigger ? [{ trigger, noAwait: kind === "interest-noawait" }] : [];
  });
}
