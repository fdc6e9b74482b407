import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { writeWhole } from "../../../src/host/whole-file.ts";
import { ensureClientKey } from "../../../src/ssh/openssh/keys.ts";
import { claimMachineFolder, writeMachineRecord } from "../../../src/state/machine-folder.ts";
import { machinePaths, type StatePaths, statePaths } from "../../../src/state/paths.ts";
import { recordOf } from "../../support/machine-records.ts";
import { durably, watchSyncs } from "../../support/synced.ts";

let state: StatePaths;
beforeEach(async () => {
  state = statePaths({ SMOLVM_HOME: await mkdtemp(join(tmpdir(), "smolvm-durable-")) });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(state.home, { recursive: true });
});

describe("what is to outlive a crash of the host is on its disk, content first and name then, before it is said to be written:", () => {
  it("a file, and nothing where it need not", async () => {
    const path = join(state.home, "file");
    const synced = await watchSyncs(path);
    await writeWhole(path, "passing", { durable: false });
    expect(synced).toEqual([]);
    await rm(path);
    await writeWhole(path, "kept", { durable: true });
    expect(synced).toEqual(durably(path));
  });

  it("the record of a persistent machine, each time that it is written, and of no other", async () => {
    const paths = machinePaths(state, "box");
    await mkdir(paths.folder, { recursive: true });
    const synced = await watchSyncs(paths.record);
    await writeMachineRecord(paths, recordOf("box", { persistent: false }));
    expect(synced).toEqual([]);
    await rm(paths.record);
    for (const known of [{}, { wasBooted: true }]) {
      await writeMachineRecord(paths, recordOf("box", { persistent: true, ...known }));
      expect(synced.splice(0)).toEqual(durably(paths.record));
      await rm(paths.record);
    }
  });

  it("a new persistent machine, its folder's name too", async () => {
    const paths = machinePaths(state, "box");
    const synced = await watchSyncs(paths.folder);
    await claimMachineFolder(state, recordOf("box", { persistent: true }));
    expect(synced.at(0)?.path).toMatch(/\/machine\.json\.[^/]+$/);
    expect(synced.at(-1)).toEqual({ path: state.machines, wasNamed: true });
    expect(synced).toHaveLength(3);
  });

  it("a client key, both halves", async () => {
    const synced = await watchSyncs(state.clientKey);
    await ensureClientKey(state);
    expect(synced.map(({ path }) => path)).toEqual([
      expect.stringMatching(/\/id_ed25519\.[^/]+$/),
      ...[state.keys, state.keys],
      ...durably(state.clientKeyPublic).map(({ path }) => path),
    ]);
    expect(synced[0]?.wasNamed).toBe(false);
    expect(synced[2]?.wasNamed).toBe(true); // the name that counts, which is a link to the draft
    synced.length = 0;
    await ensureClientKey(state);
    expect(synced).toEqual([]);
  });
});
