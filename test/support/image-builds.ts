import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { EnsureImageOptions, GuestTask, Progress } from "../../src/image/images.ts";
import { type StatePaths, statePaths } from "../../src/state/paths.ts";
import { type FakeMirror, startFakeMirror } from "./fake-mirror.ts";

/** What a test of image builds has: a mirror for the file, a state folder for each test. */
export interface ImageBuilds {
  mirror: FakeMirror;
  home: string;
  state: StatePaths;
  progress: Progress[];
  options(more?: Partial<EnsureImageOptions>): EnsureImageOptions;
}

/** To be called at the top of a test file. */
export function useImageBuilds(): ImageBuilds {
  const builds = {} as ImageBuilds;
  builds.options = (more = {}) => ({
    state: builds.state,
    arch: "x86_64",
    mirror: builds.mirror.url,
    archiveKeys: [builds.mirror.publicKey],
    runGuest: noGuest,
    onProgress: (event) => builds.progress.push(event),
    ...more,
  });
  beforeAll(async () => {
    builds.mirror = await startFakeMirror();
  });
  afterAll(() => builds.mirror.close());
  beforeEach(async () => {
    builds.home = await mkdtemp(join(tmpdir(), "smolvm-image-"));
    builds.state = statePaths({ SMOLVM_HOME: builds.home });
    builds.progress = [];
    builds.mirror.requests.length = 0;
  });
  afterEach(() => rm(builds.home, { recursive: true }));
  return builds;
}

async function noGuest(): Promise<void> {
  throw new Error("no guest is needed for this");
}

/** A guest that marks its disk and says what a real one says. */
export async function fakeGuest({ disks, onLine }: GuestTask): Promise<void> {
  onLine("[    0.1] kernel words smolvm: progress Making the file system");
  onLine("Setting up base-files (1.0) ...");
  const disk = await open(disks[0]?.path ?? "", "r+");
  await disk.write("file system", 0).finally(() => disk.close());
  onLine("smolvm: done");
}
