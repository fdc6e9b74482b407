import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { captureOutput, endGroup, startGroup } from "../processes.ts";
import { untilPrinted } from "./console.ts";
import { findFreePort } from "./free-port.ts";
import { sshTo, timeHandshake } from "./openssh.ts";
import {
  filesBelow,
  lastDescriptor,
  machineFolderOf,
  moveMachine,
  parseCommandLine,
} from "./qemu-arguments.ts";

const READY = { pattern: /smolvm: ready\s*$/m, timeoutMs: 120_000 };
/** Costs an emulated guest 80 ms less than the post-quantum one that both sides would choose: the floor is to be low. */
const CHEAP_HANDSHAKE = ["-o", "KexAlgorithms=curve25519-sha256"];

/** QEMU alone, with what one of our machines was given: the least that a cold boot can cost. */
export interface PlainMachine {
  /** From the start of the process to the ready line, and then from the start of OpenSSH to its being authenticated, in milliseconds. */
  boot(): Promise<{ readyMs: number; handshakeMs: number }>;
}

/** Takes over the arguments of a running machine and a copy of its files, its disk as an overlay on the same image. */
export async function copyPlainMachine(pid: number, folder: string, keyPath: string): Promise<PlainMachine> {
  const argv = parseCommandLine(await readFile(`/proc/${pid}/cmdline`, "utf8"));
  const from = machineFolderOf(argv);
  await mkdir(folder, { recursive: true });
  const files = await Promise.all(filesBelow(argv, from).map((path) => copyMachineFile(path, folder)));
  return { boot: () => bootOnce({ argv, from, folder, files, keyPath }) };
}

interface Copied {
  /** Makes the file as it is before a machine's first boot. */
  renew(): Promise<void>;
}

/** The machine may be gone with its folder when the copy is booted: what its disk lies on comes along. */
async function copyMachineFile(path: string, folder: string): Promise<Copied> {
  const copy = join(folder, basename(path));
  const { stdout } = await captureOutput(["qemu-img", "info", "--force-share", "--output=json", path]);
  const image = JSON.parse(stdout) as Record<string, unknown>;
  if (image.format !== "qcow2") {
    await copyFile(path, copy);
    return { renew: async () => undefined };
  }
  const base = String(image["full-backing-filename"]);
  const backing = dirname(base) === dirname(path) ? join(folder, basename(base)) : base;
  if (backing !== base) await copyFile(base, backing);
  const format = String(image["backing-filename-format"] ?? "raw");
  const size = String(image["virtual-size"]);
  return {
    renew: async () => {
      await rm(copy, { force: true });
      await captureOutput([
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        backing,
        "-F",
        format,
        copy,
        size,
      ]);
    },
  };
}

async function bootOnce(plain: {
  argv: readonly string[];
  from: string;
  folder: string;
  files: readonly Copied[];
  keyPath: string;
}): Promise<{ readyMs: number; handshakeMs: number }> {
  const port = await findFreePort();
  const argv = moveMachine(plain.argv, plain.from, plain.folder, port);
  for (const file of plain.files) await file.renew();
  const startMs = performance.now();
  // The machine's own layout: 3 and 4 are QMP and the serial console, as sockets, and others follow.
  const sockets = Array.from({ length: lastDescriptor(argv) - 2 }, () => "pipe" as const);
  const qemu = startGroup(argv, { stdio: ["ignore", "ignore", "pipe", ...sockets] });
  try {
    await untilPrinted(qemu, READY);
    const readyMs = performance.now() - startMs;
    const [ssh = "ssh", ...rest] = sshTo(port, plain.keyPath);
    return { readyMs, handshakeMs: await timeHandshake([ssh, ...CHEAP_HANDSHAKE, ...rest]) };
  } finally {
    await endGroup(qemu);
  }
}
