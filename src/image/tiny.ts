import type { CpioEntry } from "../util/cpio.ts";
import { listApplets } from "./applets.ts";
import { readGuestFile } from "./guest-files.ts";
import { file, folder, link } from "./initramfs.ts";
import { type PackageFiles, programsWithLibraries } from "./programs.ts";

/** What "tiny" adds to an initramfs: every applet of busybox, the SSH server, and the few files that make it a system. */
export async function tinyEntries(files: PackageFiles, triplet: string): Promise<CpioEntry[]> {
  return [
    ...listApplets(files.get("bin/busybox")).map((name) => link(`usr/bin/${name}`, "/smolvm/busybox")),
    ...programsWithLibraries(files, ["usr/sbin/dropbear"], triplet),
    ...["etc/profile.d", "usr/local/bin", "usr/local/sbin", "var/log", "var/tmp", "home", "mnt"].map(folder),
    file("etc/profile", await readGuestFile("tiny-profile.sh")),
    ...Object.entries(ETC_FILES).map(([name, text]) => file(`etc/${name}`, text)),
    file("etc/shadow", "root:*:20000:0:99999:7:::\n", 0o100600),
  ];
}

const ETC_FILES: Readonly<Record<string, string>> = {
  passwd: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
  group: "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
  shells: "/bin/sh\n",
  hostname: "localhost\n",
  hosts: "127.0.0.1 localhost\n::1 localhost\n",
  "resolv.conf": "nameserver 10.0.2.3\n",
  "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
  "os-release": 'ID=smolvm-tiny\nNAME="SmolVM tiny"\nPRETTY_NAME="SmolVM tiny"\n',
};
