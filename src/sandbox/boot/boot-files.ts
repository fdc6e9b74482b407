import { ValidationError } from "../../errors.ts";
import { type OpenedFile, type OpenLimits, openFile } from "../../host/read-file.ts";
import type { Image } from "../../image/images.ts";
import type { Architecture } from "../../util/architecture.ts";
import { imageBootArgs, startsSsh } from "../machine/boot-args.ts";
import type { BaseDisk, BootFiles } from "../machine/boot-setup.ts";
import type { ImageSource } from "../machine/spec.ts";

/** What a machine of this source boots from where it starts for the first time. */
export async function resolveBootFiles(
  source: ImageSource,
  arch: Architecture,
  getImage: (name: string) => Promise<Image>,
): Promise<BootFiles> {
  if (source.kind === "image") return filesOfImage(await getImage(source.name), arch);
  await requireReadable("kernelPath", source.kernelPath);
  if (source.initrdPath !== null) await requireReadable("initrdPath", source.initrdPath);
  return {
    image: null,
    kernel: source.kernelPath,
    initramfs: usesOurInit(source) ? (await getImage("debian")).initramfs : source.initrdPath,
    bootArgs: source.bootArgs,
    disk: await inspectDisk(source.rootfsPath),
    startsSsh: startsSsh(source.bootArgs),
  };
}

/** Whether a machine with a kernel and a disk of the caller's boots with our initramfs. */
export function usesOurInit(source: ImageSource): boolean {
  return source.kind === "own" && source.initrdPath === null && startsSsh(source.bootArgs);
}

export function filesOfImage(image: Image, arch: Architecture): BootFiles {
  const { rootfs, kernel, initramfs, manifest } = image;
  const { name, digest, kernelVersion } = manifest;
  return {
    image: { name, digest, kernelVersion },
    kernel,
    initramfs,
    bootArgs: imageBootArgs(arch, rootfs !== null),
    disk: rootfs === null ? null : { path: rootfs, format: "raw", bytes: manifest.rootfsBytes ?? 0 },
    startsSsh: true,
  };
}

/** Tells qcow2 from raw by its header (magic "QFI\xfb", size at byte 24: QEMU's docs/interop/qcow2.txt). */
export async function inspectDisk(path: string): Promise<BaseDisk> {
  const { file } = await openOwn("rootfsPath", path, { orBlockDevice: true });
  try {
    const header = Buffer.alloc(32);
    const { bytesRead } = await file.read(header, 0, 32, 0);
    const isQcow2 = bytesRead === 32 && header.readUInt32BE(0) === 0x514649fb;
    const bytes = isQcow2 ? Number(header.readBigUInt64BE(24)) : (await file.stat()).size;
    return { path, format: isQcow2 ? "qcow2" : "raw", bytes };
  } finally {
    await file.close();
  }
}

async function requireReadable(option: string, path: string): Promise<void> {
  const { file } = await openOwn(option, path);
  await file.close();
}

/** A file of the caller's. ValidationError. */
async function openOwn(option: string, path: string, limits: OpenLimits = {}): Promise<OpenedFile> {
  return openFile(path, limits).catch((error) => {
    throw unreadable(option, path, error);
  });
}

function unreadable(option: string, path: string, cause: Error): ValidationError {
  return new ValidationError(`${option} ${path} can't be read: ${cause.message}.`, {
    cause,
    ...(path.includes("/~") && {
      remediation: "Give the whole path: only a shell knows what ~ stands for.",
    }),
    details: { option, given: path },
  });
}
