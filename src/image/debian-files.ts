import { DEBIAN_RELEASE } from "./archive.ts";
import { textFile } from "./dpkg-database.ts";
import type { Mirror } from "./mirror.ts";
import type { TarMember } from "./tar.ts";

/** What no package brings: files that an installer would write. */
export function debianFiles(mirror: Mirror): TarMember[] {
  return [
    textFile("etc/apt/sources.list.d/debian.sources", aptSources(mirror)),
    // Nobody reads translated descriptions here; they are a third of what `apt-get update` fetches.
    textFile("etc/apt/apt.conf.d/90no-translations", 'Acquire::Languages "none";\n'),
    textFile("etc/default/locale", "LANG=C.UTF-8\n"),
    textFile("etc/fstab", "/dev/vda / ext4 defaults 0 1\n"),
    textFile("etc/hostname", "localhost\n"),
    textFile("etc/hosts", HOSTS),
    textFile("etc/machine-id", ""),
    // The SSH server reads no /etc/default/locale; a login shell reads this.
    textFile("etc/profile.d/locale.sh", ': "$' + '{LANG:=C.UTF-8}"\nexport LANG\n'),
    textFile("etc/resolv.conf", "nameserver 10.0.2.3\n"),
  ];
}

const HOSTS = `127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
`;

function aptSources(mirror: Mirror): string {
  const main = paragraph(mirror.archive, [DEBIAN_RELEASE, `${DEBIAN_RELEASE}-updates`]);
  return mirror.security === null
    ? main
    : `${main}\n${paragraph(mirror.security, [`${DEBIAN_RELEASE}-security`])}`;
}

function paragraph(uri: string, suites: readonly string[]): string {
  return `Types: deb
URIs: ${uri}
Suites: ${suites.join(" ")}
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;
}
