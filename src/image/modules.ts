import { posix } from "node:path";
import { ImageError } from "../errors.ts";
import { readModuleInfo } from "../util/elf.ts";
import { unxz, unzstd } from "./compression.ts";
import type { TarMember } from "./tar.ts";

/** A kernel module, decompressed. */
export interface KernelModule {
  readonly name: string;
  readonly content: Buffer;
}

/** Modules that must be loaded, in order: what one needs comes before it. Those built into the kernel are left out. */
export async function collectModules(
  kernelFiles: readonly TarMember[],
  wanted: readonly string[],
): Promise<KernelModule[]> {
  const files = moduleFiles(kernelFiles);
  const builtIn = builtInModules(kernelFiles);
  const collected = new Map<string, KernelModule>();
  const add = async (name: string): Promise<void> => {
    if (collected.has(name) || builtIn.has(name)) return;
    const file = files.get(name);
    if (!file) throw new ImageError(`The kernel has no module ${name}.`, { details: { module: name } });
    const content = await decompress(file);
    for (const needed of dependenciesOf(content)) await add(needed);
    collected.set(name, { name, content: withoutSignature(content) });
  };
  for (const name of wanted) await add(name);
  return [...collected.values()];
}

/** "virtio-rng.ko.xz" holds the module "virtio_rng". */
function moduleFiles(kernelFiles: readonly TarMember[]): Map<string, TarMember> {
  const modules = kernelFiles.filter(({ path }) => /\.ko(\.xz|\.zst)?$/.test(path));
  return new Map(modules.map((file) => [moduleName(file.path), file]));
}

function builtInModules(kernelFiles: readonly TarMember[]): Set<string> {
  const list = kernelFiles.find(({ path }) => path.endsWith("/modules.builtin"));
  const lines = Buffer.from(list?.data ?? new Uint8Array(0))
    .toString("utf8")
    .split("\n");
  return new Set(lines.map(moduleName));
}

function moduleName(path: string): string {
  return posix
    .basename(path)
    .replace(/\.ko.*$/, "")
    .replaceAll("-", "_");
}

async function decompress(file: TarMember): Promise<Buffer> {
  const data = Buffer.from(file.data ?? new Uint8Array(0));
  if (file.path.endsWith(".xz")) return await unxz(data);
  return file.path.endsWith(".zst") ? await unzstd(data) : data;
}

const SIGNATURE_MAGIC = "~Module signature appended~\n";
const SIGNATURE_FOOTER_BYTES = 12;

/**
 * The kernel would verify each signature, 130 ms of a boot under emulation; the package's own was verified already. The
 * kernel notes that in its log and as the taint "E" (Documentation/admin-guide/module-signing.rst).
 */
function withoutSignature(module: Buffer): Buffer {
  const end = module.length - SIGNATURE_MAGIC.length;
  if (end < SIGNATURE_FOOTER_BYTES || module.toString("latin1", end) !== SIGNATURE_MAGIC) return module;
  const signed = end - SIGNATURE_FOOTER_BYTES - module.readUInt32BE(end - 4);
  return signed > 0 ? module.subarray(0, signed) : module;
}

function dependenciesOf(module: Buffer): string[] {
  const depends = readModuleInfo(module).get("depends") ?? "";
  return depends
    .split(",")
    .filter((name) => name !== "")
    .map((name) => name.replaceAll("-", "_"));
}
