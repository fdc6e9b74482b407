/** What decides how a package is installed. */
export interface HostSystem {
  readonly platform: NodeJS.Platform;
  /** The text of /etc/os-release, "" where there is none. */
  readonly osRelease: string;
  readonly isRoot: boolean;
}

type PackageSystem = "apt" | "dnf" | "pacman" | "apk" | "brew";

/** Distributions and the families they say they belong to (ID and ID_LIKE of os-release). */
const PACKAGE_SYSTEMS: Readonly<Record<string, PackageSystem>> = {
  debian: "apt",
  ubuntu: "apt",
  fedora: "dnf",
  arch: "pacman",
  alpine: "apk",
};

/** They call themselves Fedora-like, but have only a QEMU of their own in /usr/libexec, without user networking. */
const WITHOUT_QEMU_SYSTEM = new Set(["rhel", "centos", "rocky", "almalinux", "ol"]);

const COMMANDS: Readonly<Record<PackageSystem, (packages: string, sudo: string) => string>> = {
  apt: (packages, sudo) =>
    `${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${packages}`,
  dnf: (packages, sudo) => `${sudo}dnf install -y ${packages}`,
  pacman: (packages, sudo) => `${sudo}pacman -S --needed --noconfirm ${packages}`,
  apk: (packages, sudo) => `${sudo}apk add ${packages}`,
  brew: (packages) => `brew install ${packages}`,
};

type Packages = Readonly<Record<PackageSystem, string>>;

/** Package by program and package system. */
const PACKAGES: Readonly<Record<string, Packages>> = {
  "qemu-system-x86_64": {
    apt: "qemu-system-x86",
    dnf: "qemu-system-x86",
    pacman: "qemu-system-x86",
    apk: "qemu-system-x86_64",
    brew: "qemu",
  },
  "qemu-system-aarch64": {
    apt: "qemu-system-arm",
    dnf: "qemu-system-aarch64",
    pacman: "qemu-system-aarch64",
    apk: "qemu-system-aarch64",
    brew: "qemu",
  },
  "qemu-img": {
    apt: "qemu-utils",
    dnf: "qemu-img",
    pacman: "qemu-img",
    apk: "qemu-img",
    brew: "qemu",
  },
  ssh: {
    apt: "openssh-client",
    dnf: "openssh-clients",
    pacman: "openssh",
    apk: "openssh-client",
    brew: "openssh",
  },
  // Not for machines: `npm run verify` reads our own scripts with it.
  shellcheck: {
    apt: "shellcheck",
    dnf: "ShellCheck",
    pacman: "shellcheck",
    apk: "shellcheck",
    brew: "shellcheck",
  },
  rsync: { apt: "rsync", dnf: "rsync", pacman: "rsync", apk: "rsync", brew: "rsync" },
};

/** The command to paste into a shell; undefined for an unknown system or program. */
export function installCommand(tools: readonly string[], host: HostSystem): string | undefined {
  const system = packageSystem(host);
  if (system === undefined) return undefined;
  const packages = tools.map((tool) => PACKAGES[tool]?.[system]);
  if (packages.length === 0 || packages.includes(undefined)) return undefined;
  return COMMANDS[system]([...new Set(packages)].join(" "), host.isRoot ? "" : "sudo ");
}

function packageSystem(host: HostSystem): PackageSystem | undefined {
  if (host.platform === "darwin") return "brew";
  if (host.platform !== "linux") return undefined;
  const id = field(host.osRelease, "ID");
  if (WITHOUT_QEMU_SYSTEM.has(id)) return undefined;
  const families = [id, ...field(host.osRelease, "ID_LIKE").split(/\s+/)];
  return families.map((family) => PACKAGE_SYSTEMS[family]).find((system) => system !== undefined);
}

function field(osRelease: string, name: string): string {
  const match = new RegExp(`^${name}=(.*)$`, "m").exec(osRelease);
  return (match?.[1] ?? "").trim().replace(/^(["'])(.*)\1$/, "$2");
}
