import { realpath, stat } from "node:fs/promises";
import * as v from "valibot";
import { HostError } from "../errors.ts";
import { requireTool } from "../host/find-tool.ts";
import { spawnGuarded } from "../host/guarded-process.ts";
import { MOST_RECORD_BYTES, readText } from "../host/read-file.ts";
import { writeCache } from "../host/whole-file.ts";
import type { StatePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { type QemuFeatures, QemuFeaturesSchema, queryFeatures } from "./features.ts";
import { readOutput } from "./output.ts";
import { QmpClient } from "./qmp/client.ts";

/** A QEMU of this host and what it can do. */
export interface QemuBinary {
  readonly arch: Architecture;
  readonly path: string;
  readonly features: QemuFeatures;
}

/** What a file must still be for what was learned of it to hold. */
const FileSchema = v.object({ path: v.string(), bytes: v.number(), modifiedMs: v.number() });
const CacheSchema = v.array(v.object({ file: FileSchema, features: QemuFeaturesSchema }));
type Cache = v.InferOutput<typeof CacheSchema>;

const known = new Map<string, Promise<QemuBinary>>();

/**
 * The QEMU for guests of that architecture; HostError with the install command where there is none.
 * Asking the program takes some 50 ms, so the answer is kept: in this process, and in the state folder
 * until the program's file changes.
 */
export async function findQemu(arch: Architecture, state: StatePaths): Promise<QemuBinary> {
  const path = await requireTool(`qemu-system-${arch}`);
  const file = await identify(path);
  const key = JSON.stringify([file, state.qemuFeatures]);
  const found =
    known.get(key) ?? recallOrAsk(path, file, state).then((features) => ({ arch, path, features }));
  known.set(key, found);
  found.catch(() => known.delete(key));
  return found;
}

async function identify(path: string): Promise<v.InferOutput<typeof FileSchema>> {
  const real = await realpath(path);
  const { size, mtimeMs } = await stat(real);
  return { path: real, bytes: size, modifiedMs: mtimeMs };
}

async function recallOrAsk(
  path: string,
  file: v.InferOutput<typeof FileSchema>,
  state: StatePaths,
): Promise<QemuFeatures> {
  const cache = await readCache(state.qemuFeatures);
  const entry = cache.find((each) => JSON.stringify(each.file) === JSON.stringify(file));
  if (entry) return entry.features;
  const features = await askQemu(path);
  const others = cache.filter((each) => each.file.path !== file.path);
  // Only the next process would be quicker for it.
  await writeCache(state.qemuFeatures, JSON.stringify([...others, { file, features }])).catch(() => {});
  return features;
}

/** A damaged or foreign cache is no cache. */
async function readCache(path: string): Promise<Cache> {
  try {
    return v.parse(CacheSchema, JSON.parse(await readText(path, MOST_RECORD_BYTES)));
  } catch {
    return [];
  }
}

/** Starts the program without any machine, only to talk with it. */
async function askQemu(path: string): Promise<QemuFeatures> {
  const args = ["-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-S"];
  const qmpArgs = ["-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control"];
  const qemu = await spawnGuarded([path, ...args, ...qmpArgs], { ephemeralFolder: null, channels: 1 });
  const lastWords = readOutput(qemu);
  try {
    const [channel] = qemu.channels;
    if (channel === undefined) throw new HostError(`${path} got no socket.`);
    return await queryFeatures(await QmpClient.connect(channel));
  } catch (cause) {
    await qemu.end(); // so that its last words are here
    throw new HostError(`${path} does not say what it can do: ${lastWords() || String(cause)}`, { cause });
  } finally {
    await qemu.end();
  }
}
