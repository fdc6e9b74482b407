import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { REPOSITORY } from "../../setup/sources.ts";
import { type FakeMirror, startFakeMirror } from "../../support/fake-mirror.ts";

/** Builds "debian"; its guest never ends where the second argument says so. */
const BUILDER = `
import { writeFileSync } from "node:fs";
import { ensureImage } from "./dist/image/images.js";
import { statePaths } from "./dist/state/paths.js";
const [, , mirror, guestEnds] = process.argv;
const runGuest = async ({ disks }) => {
  console.log("guest started");
  if (guestEnds === "never") await new Promise((resolve) => setTimeout(resolve, 600_000));
  console.log("guest ended");
};
const image = await ensureImage("debian", { state: statePaths(), arch: "x86_64", mirror, archiveKeys: [process.env.ARCHIVE_KEY], runGuest });
console.log("image " + image.kernel);
`;

let folder = "";
let home = "";
let mirror: FakeMirror;

/** The sources as Node runs them: two processes are the point here. */
beforeAll(async () => {
  mirror = await startFakeMirror();
  folder = await mkdtemp(join(tmpdir(), "smolvm-builders-"));
  const compiler = join(REPOSITORY, "node_modules/typescript/bin/tsc");
  spawnSync(process.execPath, [compiler, "-p", REPOSITORY, "--outDir", join(folder, "dist")]);
  await cp(join(REPOSITORY, "src/guest"), join(folder, "dist/guest"), { recursive: true });
  await symlink(join(REPOSITORY, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  await writeFile(join(folder, "builder.js"), BUILDER);
}, 120_000);
afterAll(async () => {
  await mirror.close();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  home = await mkdtemp(join(folder, "home-"));
});

interface Builder {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly ended: Promise<unknown>;
}

function startBuilder(guestEnds: "soon" | "never"): Builder {
  const env = { ...process.env, SMOLVM_HOME: home, ARCHIVE_KEY: mirror.publicKey };
  const argv = [join(folder, "builder.js"), mirror.url, guestEnds];
  const child = spawn(process.execPath, argv, { env, stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  child.stdout.on("data", (text: Buffer) => lines.push(...text.toString().trim().split("\n")));
  return { child, lines, ended: once(child, "close") };
}

async function untilPrinted({ child, lines }: Builder, line: string): Promise<void> {
  while (!lines.includes(line)) await once(child.stdout ?? child, "data");
}

describe("two processes that build the same image at once", () => {
  it("make it once and both end with it", async () => {
    const builders = [startBuilder("soon"), startBuilder("soon")];
    await Promise.all(builders.map(({ ended }) => ended));
    const all = builders.flatMap(({ lines }) => lines);
    expect(all.filter((line) => line === "guest started")).toHaveLength(1);
    const images = all.filter((line) => line.startsWith("image "));
    expect(images).toHaveLength(2);
    expect(new Set(images).size).toBe(1);
  }, 60_000);
});

describe("a process that is killed while it builds", () => {
  it("leaves nothing that the next one takes for an image, and the next one cleans up", async () => {
    const doomed = startBuilder("never");
    await untilPrinted(doomed, "guest started");
    doomed.child.kill("SIGKILL");
    await doomed.ended;
    const left = await readdir(join(home, "images"));
    expect(left.length).toBeGreaterThan(0);
    expect(left.filter((name) => !name.startsWith("."))).toEqual([]);
    const next = startBuilder("soon");
    await next.ended;
    expect(next.lines.at(-1)).toMatch(/^image /);
    const images = await readdir(join(home, "images"));
    expect(images).toHaveLength(1);
    expect(images[0]).toMatch(/^debian-x86_64-/);
  }, 60_000);
});
