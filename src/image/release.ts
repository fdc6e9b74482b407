import { ImageError } from "../errors.ts";
import { listPackageFiles, readPackageFile } from "../host/package-file.ts";
import { type Paragraph, parseDeb822 } from "../util/deb822.ts";

/** What a suite's signed `InRelease` says. */
export interface Release {
  readonly codename: string;
  readonly byHash: boolean;
  /** By path below the suite's folder, for example "main/binary-amd64/Packages.xz". */
  readonly files: ReadonlyMap<string, { readonly sha256: string; readonly sizeBytes: number }>;
}

/** Debian's archive keys, ASCII-armoured. */
export async function readArchiveKeys(): Promise<string[]> {
  const folder = new URL("keys/", import.meta.url);
  const names = (await listPackageFiles(folder)).filter((name) => name.endsWith(".asc")).sort();
  return await Promise.all(
    names.map(async (name) => (await readPackageFile(new URL(name, folder))).toString()),
  );
}

/**
 * Throws ImageError unless one of the keys signed it and it is the release asked for: else another, older one could
 * be passed off as this. `where` is only for messages.
 */
export async function verifyRelease(
  inRelease: string,
  codename: string,
  armoredKeys: readonly string[],
  where: string,
): Promise<Release> {
  const signed = await verifiedText(inRelease, armoredKeys, where);
  const fields = parseDeb822(signed)[0];
  if (!fields) throw new ImageError(`${where} is empty.`);
  const found = fields.get("codename") ?? "";
  if (found !== codename)
    throw new ImageError(`${where} is signed for the release "${found}", not for "${codename}".`);
  return { codename, byHash: fields.get("acquire-by-hash") === "yes", files: parseFiles(fields) };
}

/** Only what the signature covers: text outside of it must not be read. */
async function verifiedText(
  inRelease: string,
  armoredKeys: readonly string[],
  where: string,
): Promise<string> {
  const { readCleartextMessage, readKeys, verify } = await import("openpgp");
  const keys = (await Promise.all(armoredKeys.map((armored) => readKeys({ armoredKeys: armored })))).flat();
  let reasons: string[];
  try {
    const message = await readCleartextMessage({ cleartextMessage: inRelease });
    const { data, signatures } = await verify({ message, verificationKeys: keys });
    const outcomes = await Promise.allSettled(signatures.map(({ verified }) => verified));
    if (outcomes.some(({ status }) => status === "fulfilled")) return data;
    reasons = outcomes.map((outcome) =>
      outcome.status === "rejected" ? String(outcome.reason?.message ?? outcome.reason) : "",
    );
  } catch (cause) {
    reasons = [cause instanceof Error ? cause.message : String(cause)];
  }
  throw new ImageError(
    `${where} is not signed by Debian's archive keys: ${reasons.join("; ") || "it has no signature"}.`,
    {
      details: { url: where, reasons },
    },
  );
}

function parseFiles(fields: Paragraph): Release["files"] {
  const files = new Map<string, { sha256: string; sizeBytes: number }>();
  for (const line of (fields.get("sha256") ?? "").split("\n")) {
    const [, sha256, size, path] = /^([0-9a-f]{64})\s+(\d+)\s+(\S+)$/.exec(line.trim()) ?? [];
    if (sha256 && size && path) files.set(path, { sha256, sizeBytes: Number(size) });
  }
  return files;
}
