/** What breaks all that a server in the image would need. */
export interface LockOut {
  readonly title: string;
  readonly script: string;
  /** Is true where it has happened. */
  readonly check: string;
  /** Nobody but root is known any more. */
  readonly leavesNoUsers?: boolean;
  readonly images: readonly string[];
}

const BOTH = ["debian", "tiny"];

export const LOCK_OUTS: readonly LockOut[] = [
  {
    title: "all of it is writable for everybody",
    script: "chmod -R 777 / 2>/dev/null; chmod 777 / /root; chmod 000 /etc",
    check: '[ "$(stat -c %a / /root /etc | tr "\\n" " ")" = "777 777 0 " ]',
    images: BOTH,
  },
  {
    title: "there are no accounts",
    script: "rm -f /etc/passwd /etc/shadow /etc/group /etc/shells",
    check: "! cat /etc/passwd && ! cat /etc/shadow && ! cat /etc/group && ! cat /etc/shells",
    leavesNoUsers: true,
    images: BOTH,
  },
  {
    title: "root may not log in",
    script:
      "sed -i 's,^root:.*,root:x:0:0::/nowhere:/usr/sbin/nologin,' /etc/passwd; : >/etc/shells; chmod 600 /etc/passwd",
    check:
      "grep '^root:.*:/usr/sbin/nologin$' /etc/passwd && [ ! -s /etc/shells ] && [ $(stat -c %a /etc/passwd) = 600 ]",
    images: BOTH,
  },
  {
    title: "root's shell is missing",
    script: "sed -i 's,^root:.*,root:x:0:0::/root:/opt/none,' /etc/passwd",
    check: "grep '^root:.*:/opt/none$' /etc/passwd",
    images: BOTH,
  },
  {
    title: "/run is empty",
    script: "rm -rf /run/* /run/.[!.]*",
    check: "! ls -A /run | grep -v '^smolvm\\.'", // which the next command makes again
    images: BOTH,
  },
  {
    title: "no device is there",
    script: "rm -rf /dev/* 2>/dev/null; umount -l /dev/pts /dev/shm /sys/fs/cgroup",
    check: "[ ! -e /dev/null ] && [ ! -e /dev/tty ] && [ ! -e /sys/fs/cgroup/cgroup.procs ]",
    images: BOTH,
  },
  {
    title: "/proc, /sys and /dev are not mounted",
    script: "umount -l /sys/fs/cgroup /sys /dev/pts /dev/shm /dev /proc",
    check: "[ ! -e /proc/1 ] && [ ! -e /sys/kernel ] && [ ! -e /dev/null ]",
    images: BOTH,
  },
  {
    title: "the server is gone",
    script: `rm -f /usr/sbin/dropbear; pids=$(cat /proc/[0-9]*/stat | sed -n 's/ (dropbear).*//p')
     [ "$pids" ] && touch /opt/found; kill -9 $pids`,
    check: "[ ! -e /usr/sbin/dropbear ] && [ -e /opt/found ]",
    images: ["debian"],
  },
  {
    title: "its files are links to ours, and fifos",
    script: `cd /etc; rm -f hostname hosts machine-id; ln -s /smolvm/seed/hostname hostname; ln -s /etc/passwd hosts
     mkfifo machine-id; rm -f resolv.conf; mkfifo resolv.conf; rm passwd; mkfifo passwd
     umount -l /run; rmdir /run; ln -s /smolvm /run`,
    check:
      "cd /etc && [ -L hostname ] && [ -L hosts ] && [ -p machine-id ] && [ -p resolv.conf ] && [ -p passwd ] && [ -L /run ]",
    leavesNoUsers: true,
    images: BOTH,
  },
];
