import type { CpioEntry } from "../util/cpio.ts";
import { listApplets } from "./applets.ts";
import { readGuestFile } from "./guest-files.ts";
import { file, folder, link } from "./initramfs.ts";
import type { PackageFiles } from "./programs.ts";

/**
 * What "tiny" adds to an initramfs: a folder that becomes its root, with every applet of a busybox of its own and the few files
 * that make it a system.
 */
export async function tinyEntries(files: PackageFiles): Promise<CpioEntry[]> {
  const busybox = files.get("bin/busybox");
  const entries = [
    file("usr/bin/busybox", busybox, 0o100755),
    ...listApplets(busybox).map((name) => link(`usr/bin/${name}`, "busybox")),
    ...["bin", "sbin", "lib", "lib64"].flatMap((name) => [folder(`usr/${name}`), link(name, `usr/${name}`)]),
    ...["etc/profile.d", "usr/local/bin", "usr/local/sbin", "var/log", "home", "mnt"].map(folder),
    ...["tmp", "var/tmp"].map((path) => ({ path, mode: 0o041777 })),
    ...["proc", "sys", "dev", "run"].map(folder),
    { path: "root", mode: 0o040700 },
    link("var/run", "../run"),
    link("var/lock", "../run/lock"),
    file("etc/profile", await readGuestFile("tiny-profile.sh")),
    ...Object.entries(ETC_FILES).map(([name, text]) => file(`etc/${name}`, text)),
    file("etc/shadow", "root:*:20000:0:99999:7:::\n", 0o100600),
  ];
  return entries.map((entry) => ({ ...entry, path: `image/${entry.path}` }));
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
