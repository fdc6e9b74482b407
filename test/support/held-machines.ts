import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { ensureImage, type Image } from "../../src/image/images.ts";
import { ownDisks } from "../../src/sandbox/boot/cold.ts";
import { bootFilesOf, holdBootFiles } from "../../src/sandbox/boot/hold.ts";
import { newMachine } from "../../src/sandbox/holder/new-machine.ts";
import type { Machine } from "../../src/sandbox/machine/machine.ts";
import { parseSpec } from "../../src/sandbox/machine/spec.ts";
import { writeMachineRecord } from "../../src/state/machine-folder.ts";
import { machinePaths, statePaths } from "../../src/state/paths.ts";
import { recordOf } from "./machine-records.ts";

/** Machines as far as their files go: no guest is ever started. Their state folder is the one that the library uses. */
export const imageOf = async (name: string): Promise<Image> =>
  ensureImage(name as "debian", {
    state: statePaths(),
    arch: "x86_64",
    runGuest: () => Promise.reject(new Error("nothing is to be built")),
    mirror: "http://127.0.0.1:9",
  });

/** A machine that has its folder, as its first start makes it. */
export async function machineOf(options: Parameters<typeof parseSpec>[0] = {}): Promise<Machine> {
  const machine = newMachine(parseSpec({ name: "box", persistent: true, ...options }), {}, null);
  const { name } = machine.spec;
  machine.folder = machinePaths(machine.state, name);
  await mkdir(machine.folder.folder, { recursive: true });
  return machine;
}

export const folderOf = ({ folder }: Machine): string => folder?.folder ?? "";

/** Its first start, as far as the files go. */
export async function startFirst(machine: Machine): Promise<Machine> {
  const files = await bootFilesOf(machine, imageOf);
  const held = await holdBootFiles(machine, files, folderOf(machine));
  await ownDisks(held.disk, folderOf(machine), machine.spec.diskMib, true);
  machine.wasBooted = true;
  const { wasBooted, held: now, spec } = machine;
  await writeMachineRecord(
    machinePaths(machine.state, spec.name),
    recordOf(spec.name, { wasBooted, held: now }),
  );
  return machine;
}

/** What it would boot from now, by content. */
export async function contentsOf(machine: Machine) {
  const { image, kernel, initramfs, disk } = await bootFilesOf(machine, imageOf);
  const paths = [kernel, initramfs, disk?.path ?? null];
  const files = paths.map((path) => path && readFileSync(path, "utf8"));
  return { digest: image?.digest[0], files };
}

/** What it boots from where that is the image that was stored as "1". */
export const OF_ONE = { digest: "1", files: ["kernel 1", "initramfs 1", "rootfs 1"] };
