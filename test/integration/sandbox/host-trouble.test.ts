import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SmolVMError } from "../../../src/errors.ts";
import {
  buildImage,
  deleteImage,
  doctor,
  inspectImage,
  listImages,
  prune,
  SmolVM,
} from "../../../src/index.ts";
import { GuestAccess } from "../../../src/sandbox/remote/guest-access.ts";
import { connectHolder } from "../../../src/sandbox/remote/holder.ts";
import type { MachineRecord } from "../../../src/state/machine-record.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

const BOOT = {
  qemu: { pid: 1, startedAt: "long ago" },
  sshPort: 1,
  hostKey: "ssh-ed25519 AAAA",
  report: { way: "cold", wayReason: "", accelerator: "tcg", phases: [] },
} as unknown as MachineRecord["boot"];

let folder: StateFolder;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const expectTrouble = async (work: Promise<unknown>, code: string) => {
  const error = await work.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SmolVMError);
  expect(error).toMatchObject({
    message: expect.stringContaining(code),
    remediation: expect.stringMatching(/\w/),
  });
};

it("says in an error of ours that a folder is none where a machine's holder should listen", async () => {
  const { paths, record } = await folder.put("box");
  await rm(paths.folder, { recursive: true });
  await writeFile(paths.folder, "");
  await expectTrouble(
    connectHolder(paths, record.spec.id, () => {}),
    "ENOTDIR",
  );
});

it("says in an error of ours that the key for a machine of another process can't be read", async () => {
  const { record } = await folder.put("box");
  await mkdir(folder.state.clientKey, { recursive: true });
  const access = new GuestAccess(record.spec, folder.state, {
    isPaused: () => false,
    mend: () => {},
  });
  access.follow(BOOT, "");
  const { runner } = access.reached ?? {};
  await expectTrouble(
    runner?.waitConnected({ timeoutMs: 10_000 }) ?? Promise.resolve(),
    "is a folder, and no file",
  );
  await access.close();
});

describe("where the folders are links to themselves", () => {
  beforeEach(async () => {
    for (const path of [folder.state.machines, folder.state.snapshots, folder.state.images])
      await symlink(path, path);
  });

  it.each<readonly [string, () => Promise<unknown>]>([
    ["SmolVM.get", () => SmolVM.get("box")],
    ["SmolVM.list", () => SmolVM.list()],
    ["SmolVM.restore", () => SmolVM.restore("one")],
    ["SmolVM.listSnapshots", () => SmolVM.listSnapshots()],
    ["SmolVM.deleteSnapshot", () => SmolVM.deleteSnapshot("one")],
    ["buildImage", () => buildImage("tiny")],
    ["listImages", () => listImages()],
    ["inspectImage", () => inspectImage("tiny")],
    ["deleteImage", () => deleteImage("tiny")],
    ["prune", () => prune()],
  ])("%s says so in an error of ours", async (_, call) => {
    await expectTrouble(call(), "ELOOP");
  });

  it("doctor says so, and what helps", async () => {
    const { checks } = await doctor();
    expect(checks.filter(({ ok, remediation }) => !ok && !remediation)).toEqual([]);
    expect(checks.find(({ name }) => name === "leftovers")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("ELOOP"),
    });
  });
});
