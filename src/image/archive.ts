import { gunzipSync } from "node:zlib";
import { ImageError } from "../errors.ts";
import type { Architecture } from "../util/architecture.ts";
import { Queue } from "../util/queue.ts";
import { unxz } from "./compression.ts";
import { type Download, download } from "./download.ts";
import { fetchText } from "./http.ts";
import { indexPackages, type Package, type PackageIndex } from "./packages.ts";
import type { OnProgress } from "./progress.ts";
import { DEBIAN_ARCHITECTURES } from "./recipe.ts";
import { type Release, verifyRelease } from "./release.ts";

export const DEBIAN_RELEASE = "trixie";
const MAX_INRELEASE_BYTES = 4 * 1024 * 1024;
const PARALLEL_DOWNLOADS = 8;

/** One release of a Debian archive: every byte out of it has been verified, from the archive's key down. */
export interface Archive {
  readonly packages: PackageIndex;
  /** Fetches them all, several at a time; each is handed over as soon as it is there, in no particular order. */
  fetch(
    packages: readonly Package[],
    onPackage: (found: Package, deb: Buffer) => Promise<void>,
  ): Promise<void>;
}

export interface ArchiveOptions {
  /** The archive's address, without a trailing slash. */
  readonly mirror: string;
  readonly arch: Architecture;
  readonly downloads: string;
  readonly onProgress: OnProgress;
  readonly signal?: AbortSignal | undefined;
  /** Whose signature counts, ASCII-armoured. */
  readonly keys: readonly string[];
}

/** Fetches and verifies the signed index; throws ImageError where anything doesn't fit. */
export async function openArchive(options: ArchiveOptions): Promise<Archive> {
  const { mirror, signal, onProgress } = options;
  onProgress({ phase: "index", message: `Reading Debian ${DEBIAN_RELEASE}'s package index` });
  const suite = `${mirror}/dists/${DEBIAN_RELEASE}`;
  const inRelease = `${suite}/InRelease`;
  const text = await fetchText(inRelease, MAX_INRELEASE_BYTES, signal);
  const release = await verifyRelease(text, DEBIAN_RELEASE, options.keys, inRelease);
  const { index, unpack } = chooseIndex(suite, release, options.arch);
  const packed = await download(index, { folder: options.downloads, signal });
  return {
    packages: indexPackages((await unpack(packed, signal)).toString("latin1")),
    fetch: (packages, onPackage) => fetchAll(packages, onPackage, options),
  };
}

/** Debian's own archive has it as xz only; others may differ. */
const INDEX_FORMS = [
  { ending: ".xz", unpack: unxz },
  { ending: ".gz", unpack: async (packed: Buffer) => gunzipSync(packed) },
] as const;

interface IndexFile {
  readonly index: Download;
  readonly unpack: (packed: Buffer, signal?: AbortSignal) => Promise<Buffer>;
}

/** By its hash where the archive offers that: then an update of the archive in this very moment does no harm. */
function chooseIndex(suite: string, release: Release, arch: Architecture): IndexFile {
  const folder = `main/binary-${DEBIAN_ARCHITECTURES[arch].name}`;
  for (const { ending, unpack } of INDEX_FORMS) {
    const file = release.files.get(`${folder}/Packages${ending}`);
    if (!file) continue;
    const path = release.byHash ? `by-hash/SHA256/${file.sha256}` : `Packages${ending}`;
    return { index: { ...file, url: `${suite}/${folder}/${path}` }, unpack };
  }
  throw new ImageError(`${suite} has no index of packages for ${DEBIAN_ARCHITECTURES[arch].name}.`);
}

async function fetchAll(
  packages: readonly Package[],
  onPackage: (found: Package, deb: Buffer) => Promise<void>,
  options: ArchiveOptions,
): Promise<void> {
  const total = packages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let done = 0;
  const onBytes = (count: number) => {
    done += count;
    options.onProgress({
      phase: "download",
      message: `Downloading ${packages.length} packages`,
      done,
      total,
    });
  };
  // The first failure ends the other downloads too.
  const failure = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failure.signal]) : failure.signal;
  const queue = new Queue(PARALLEL_DOWNLOADS);
  const tasks = packages.map(async (found) => {
    const leave = await queue.enter();
    try {
      const { sha256, sizeBytes } = found;
      const file = { url: `${options.mirror}/${found.filename}`, sha256, sizeBytes };
      await onPackage(found, await download(file, { folder: options.downloads, signal, onBytes }));
    } catch (error) {
      failure.abort(error);
      throw error;
    } finally {
      leave();
    }
  });
  const outcomes = await Promise.allSettled(tasks);
  const first = outcomes.find((outcome) => outcome.status === "rejected");
  if (first) throw options.signal?.aborted ? first.reason : (failure.signal.reason ?? first.reason);
}
