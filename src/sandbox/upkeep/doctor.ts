import { access, constants, statfs } from "node:fs/promises";
import { ImageError, SmolVMError } from "../../errors.ts";
import { requireCgroups } from "../../host/cgroup-limit.ts";
import { findTool, installHint } from "../../host/find-tool.ts";
import { makeFolders } from "../../host/make-folders.ts";
import { hostArch } from "../../host/platform.ts";
import { findQemu } from "../../qemu/binary.ts";
import { type StatePaths, statePaths } from "../../state/paths.ts";
import { quoteWord } from "../../util/quote.ts";
import { judgeAccelerators } from "../boot/accelerator.ts";
import { hostTrouble } from "../machine/host-trouble.ts";
import { checkTemplates, listTemplates } from "../template/templates.ts";
import { listImages } from "./images.ts";
import { findLeftovers } from "./leftovers.ts";

export interface DoctorCheck {
  /** For example "qemu". */
  readonly name: string;
  readonly ok: boolean;
  /** What was found. */
  readonly detail: string;
  /** The command or the change that mends it. */
  readonly remediation?: string;
}

export interface DoctorReport {
  /** Whether machines can run here. A check that is only advice doesn't count. */
  readonly ok: boolean;
  readonly checks: readonly DoctorCheck[];
}

const GIB = 1024 ** 3;
/** An image from scratch with its downloads, and a machine's disk beside it. */
const WANTED_BYTES = 3 * GIB;
const ADVICE = ["ssh", "templates", "leftovers", "host limits"];

/** Looks at this host; tries the accelerators where an image is there to try them with. */
export async function doctor(): Promise<DoctorReport> {
  const state = statePaths();
  const checks = await Promise.all([
    check("qemu", () => checkQemu(state)),
    check("accelerator", () => checkAccelerator(state)),
    check("state folder", () => checkStateFolder(state)),
    check("disk space", () => checkDiskSpace(state)),
    check("images", checkImages),
    check("templates", () => checkTemplateFiles(state)),
    check("leftovers", () => checkLeftovers(state)),
    check("host limits", checkHostLimits),
    check("ssh", checkSsh),
  ]);
  return { ok: checks.every(({ ok, name }) => ok || ADVICE.includes(name)), checks };
}

async function check(name: string, look: () => Promise<string>): Promise<DoctorCheck> {
  try {
    return { name, ok: true, detail: await look() };
  } catch (failure) {
    const error = hostTrouble(failure);
    const remediation = error instanceof SmolVMError ? error.remediation : undefined;
    const detail = error instanceof Error ? error.message : String(error);
    return { name, ok: false, detail, ...(remediation !== undefined && { remediation }) };
  }
}

async function checkQemu(state: StatePaths): Promise<string> {
  const { path, features } = await findQemu(hostArch(), state);
  return `${path}, version ${features.version}`;
}

async function checkAccelerator(state: StatePaths): Promise<string> {
  const choice = await judgeAccelerators(state).catch((error: unknown) => {
    if (error instanceof ImageError) return null; // a machine builds the image that it lacks
    throw error;
  });
  if (choice === null) return "not tried yet, as no image is built; the first machine tries the fastest";
  const { accelerator, reason } = choice;
  const warning =
    accelerator === "tcg"
      ? " Emulation is slower, and QEMU does not count it as a boundary against hostile code."
      : "";
  return `${accelerator} (${reason}).${warning}`;
}

async function checkStateFolder({ home }: StatePaths): Promise<string> {
  await makeFolders(home);
  await access(home, constants.W_OK | constants.X_OK);
  return `${home} is writable`;
}

async function checkDiskSpace({ home }: StatePaths): Promise<string> {
  const { bavail, bsize } = await statfs(home);
  const free = bavail * bsize;
  const detail = `${(free / GIB).toFixed(1)} GiB are free where ${home} lies`;
  if (free >= WANTED_BYTES) return detail;
  throw new SmolVMError(
    "DISK_SPACE",
    `Only ${detail}; an image and a machine want ${WANTED_BYTES / GIB} GiB.`,
    {
      remediation: "Free some space there, or set SMOLVM_HOME to a folder on a larger disk.",
    },
  );
}

async function checkImages(): Promise<string> {
  const images = await listImages();
  if (images.length === 0) return "none built yet; the first machine builds what it needs";
  return images.map(({ name, createdAt }) => `${name} (built ${createdAt.slice(0, 10)})`).join(", ");
}

/** A template that can be seen to be damaged is made again when it is next wanted; only this check reads the memory whole. */
async function checkTemplateFiles(state: StatePaths): Promise<string> {
  const [templates, damaged] = await Promise.all([listTemplates(state), checkTemplates(state)]);
  if (damaged.length > 0) {
    throw new SmolVMError(
      "DAMAGED_TEMPLATE",
      `A template is damaged: ${damaged.map(({ folder, reason }) => `${folder}: ${reason}`).join("; ")}.`,
      {
        remediation: `rm -r ${damaged.map(({ folder }) => quoteWord(folder)).join(" ")}`,
      },
    );
  }
  if (templates.length === 0) return "none saved yet; the first machine of a kind saves one";
  const bytes = templates.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return `${templates.length}, ${(bytes / GIB).toFixed(1)} GiB (${[...new Set(templates.map(({ image }) => image))].join(", ")})`;
}

async function checkLeftovers(state: StatePaths): Promise<string> {
  const found = await findLeftovers(state);
  const left = found.filter(({ remove }) => remove !== null);
  const unclear = found.filter(({ remove }) => remove === null);
  const [first] = unclear;
  if (left.length === 0 && first !== undefined) {
    throw new SmolVMError(
      "UNCLEAR_LEFTOVERS",
      `Of ${unclear.length} things it can't be told whether somebody needs them, such as ${first.kind} ${first.name}: ${first.reason}.`,
      {
        remediation:
          "See all of them: smolvm prune --dry-run; prune them where their programs run, or remove those that you know to be left.",
      },
    );
  }
  if (left.length === 0) return "nothing is left of programs that died";
  const bytes = left.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  throw new SmolVMError(
    "LEFTOVERS",
    `Programs that died left ${left.length === 1 ? "one thing" : `${left.length} things`} behind (${(bytes / GIB).toFixed(1)} GiB).`,
    { remediation: "smolvm prune" },
  );
}

async function checkHostLimits(): Promise<string> {
  return `hostLimits can be held: cgroups may be made in ${await requireCgroups({ memory: true, cpu: true })}`;
}

async function checkSsh(): Promise<string> {
  const path = await findTool("ssh");
  if (path) return path;
  const remediation = await installHint(["ssh"]);
  throw new SmolVMError("NO_SSH_CLIENT", "There is no ssh program; only sshCommands() needs one.", {
    remediation,
  });
}
