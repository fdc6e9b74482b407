import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeFolders } from "../../../src/host/make-folders.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-folders-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

it("makes a folder and those above it for this user alone, twice and at the same time too", async () => {
  const deep = join(folder, "a", "b", "c");
  await Promise.all([makeFolders(deep), makeFolders(deep), makeFolders(join(folder, "a", "b"))]);
  await makeFolders(deep);
  expect(statSync(deep).isDirectory()).toBe(true);
  expect(statSync(join(folder, "a")).mode & 0o777).toBe(0o700);
});

it("ends where the kernel lets nobody make one", async () => {
  await expect(makeFolders("/proc/x/vms")).rejects.toThrow(); // on Linux it is missing for ever
});

it("ends where a link above leads nowhere, and where a file is in the way", async () => {
  symlinkSync(join(folder, "nowhere"), join(folder, "link"));
  writeFileSync(join(folder, "file"), "");
  await expect(makeFolders(join(folder, "link", "vms"))).rejects.toMatchObject({ code: "EEXIST" });
  await expect(makeFolders(join(folder, "file", "vms"))).rejects.toMatchObject({ code: "ENOTDIR" });
  await expect(makeFolders(join(folder, "file"))).rejects.toMatchObject({ code: "EEXIST" });
});
