import { chown, mkdtemp, open, rm } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endGroup, startGroup, timeProgram } from "../processes.ts";
import { findFreePort } from "./free-port.ts";
import { sshTo } from "./openssh.ts";

const BOOT_TIMEOUT_MS = 240_000;
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
    stdio: ["ignore", "ignore", "ignore", file.fd],
  });
  try {
    const ended = new Promise<never>((_, reject) => {
      debvm.once("error", reject);
      debvm.once("exit", (status) =>
        reject(new Error(`debvm-run ended with status ${status} before it answered.`)),
      );
    });
    await Promise.race([sshBanner(port), ended]);
    ended.catch(() => undefined);
    await timeProgram([...sshTo(port, keyPath), "true"]);
    return performance.now() - startMs;
  } finally {
    await endGroup(debvm);
    await file.close();
    await rm(folder, { recursive: true, force: true });
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

/** QEMU takes connections long before the guest does: only a banner tells. */
async function sshBanner(port: number): Promise<void> {
  const deadlineMs = performance.now() + BOOT_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    if (await isGreeted(port)) return;
    await sleep(50);
  }
  throw new Error(`debvm's SSH server did not answer within ${BOOT_TIMEOUT_MS / 1000} s.`);
}

function isGreeted(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.setTimeout(1000, () => end(false));
    socket.once("data", (data) => end(data.toString("latin1").startsWith("SSH-")));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
  });
}
