import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { TrialGuest } from "../../../src/qemu/trial.ts";
import type { SetupContext } from "../../../src/sandbox/boot/prepare.ts";
import { setUpRestore } from "../../../src/sandbox/snapshot/restore.ts";
import { heldInitramfs, heldKernel } from "../../../src/state/paths.ts";
import type { SavedMachine } from "../../../src/state/snapshots.ts";
import { NO_FILES } from "../../support/no-files.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

let trial: Promise<TrialGuest> | undefined;
vi.mock("../../../src/sandbox/boot/accelerator.ts", async (original) => ({
  ...(await original<object>()),
  acceleratorFor: async (_requested: string, _state: unknown, trialGuest: () => Promise<TrialGuest>) => {
    trial = trialGuest();
    return {};
  },
}));

let folder: StateFolder;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const KERNELS: readonly (readonly [kind: string, put: (path: string) => void, isOwn: boolean])[] = [
  ["a file", (path: string) => writeFileSync(path, ""), true],
  ["missing", () => {}, false],
  ...NO_FILES.slice(0, 2).map(([kind, put]) => [kind, put, false] as const),
];

it.each(KERNELS)(
  "an accelerator is tried with a snapshot's kernel where that is a file, and it is %s",
  async (_, put, isOwn) => {
    const image = await storeImage(folder.state, "tiny", "1");
    const { record } = await folder.put("box");
    const saved = join(folder.state.home, "saved");
    mkdirSync(saved);
    writeFileSync(heldInitramfs(saved), "");
    put(heldKernel(saved));
    const origin = { facts: { image: image.manifest, accelerator: "kvm" }, paths: { folder: saved } };
    const context = { signal: AbortSignal.timeout(10_000) } as SetupContext;
    const restoring = setUpRestore(record.spec, folder.state, origin as unknown as SavedMachine, context);
    await expect(restoring).rejects.toMatchObject({ code: "SNAPSHOT_UNUSABLE" }); // its QEMU is none
    expect((await trial)?.kernel).toBe(isOwn ? heldKernel(saved) : image.kernel);
  },
);
