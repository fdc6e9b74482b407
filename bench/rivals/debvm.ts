import { chown, mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { captureOutput, endGroup, startGroup } from "../processes.ts";
import { untilPrinted } from "./console.ts";
import { findFreePort } from "./free-port.ts";
import { sshTo } from "./openssh.ts";

/**
 * systemd says on the console when the SSH server listens; where a kernel message has torn that line, the prompt of the automatic login
 * tells as well. Knocking all the time would be no help: QEMU takes connections long before the guest does, and each one that is given up
 * costs an emulated guest a process that it could use for the next.
 */
const LISTENING = {
  pattern: /Started [^\n]*ssh\.service|Secure Shell server\.\s*\n|:~#/,
  timeoutMs: 240_000,
};
const SSH_ATTEMPTS = 40;
const SSH_PAUSE_MS = 250;
/** "nobody" and "nogroup" of every Debian: debvm wants an ordinary user, see below. */
const NOBODY = 65_534;

export interface DebvmBoot {
  readonly image: string;
  readonly keyPath: string;
  /** Where a temporary folder can be made that an ordinary user may use. */
  readonly scratch: string;
  /**
   * Whether debvm must not touch /dev/kvm: it uses it wherever it may write to it, and QEMU then aborts on hosts where KVM runs no guests.
   */
  readonly emulates: boolean;
}

/**
 * Boots a copy-on-write instance of debvm's image and ends it: from the start of debvm-run to the end of the first command over
 * OpenSSH, in milliseconds.
 */
export async function bootDebvm({ image, keyPath, scratch, emulates }: DebvmBoot): Promise<number> {
  const asNobody = emulates && process.getuid?.() === 0;
  const port = await findFreePort();
  const folder = await mkdtemp(join(scratch, "debvm-"));
  if (asNobody) await chown(folder, NOBODY, NOBODY);
  const file = await open(image, "r");
  const startMs = performance.now();
  const debvm = startGroup(commandLine(port, { asNobody, emulates }), {
    cwd: "/",
    env: { PATH: process.env.PATH, HOME: folder, TMPDIR: folder, LC_ALL: "C" },
    // The image is handed over open, since the state folder lets nobody else in.
    stdio: ["ignore", "pipe", "ignore", file.fd],
  });
  try {
    await untilPrinted(debvm, LISTENING);
    await runFirstCommand([...sshTo(port, keyPath), "true"]);
    return performance.now() - startMs;
  } finally {
    await endGroup(debvm);
    await file.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** One attempt is enough, unless it was the prompt that told and the server starts after it. */
async function runFirstCommand(ssh: readonly string[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return void (await captureOutput(ssh));
    } catch (error) {
      if (attempt === SSH_ATTEMPTS) throw error;
      await sleep(SSH_PAUSE_MS);
    }
  }
}

function commandLine(
  port: number,
  { asNobody, emulates }: { asNobody: boolean; emulates: boolean },
): string[] {
  const user = [
    `--reuid=${NOBODY}`,
    `--regid=${NOBODY}`,
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
  ];
  const drop = asNobody ? ["setpriv", ...user] : [];
  // What debvm does itself for a user without rights on /dev/kvm, also where this user has them.
  const emulate = emulates && !asNobody ? ["-machine", "accel=tcg", "-cpu", "qemu64"] : [];
  return [
    ...drop,
    "debvm-run",
    "--image",
    "/proc/self/fd/3",
    "--sshport",
    String(port),
    "--",
    "-snapshot",
    ...emulate,
  ];
}
