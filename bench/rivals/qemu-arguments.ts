import { dirname } from "node:path";

/** The arguments of a process, out of /proc/<pid>/cmdline: each ends with a NUL. */
export function parseCommandLine(cmdline: string): string[] {
  const words = cmdline.split("\0");
  return cmdline.endsWith("\0") ? words.slice(0, -1) : words;
}

/** The folder with one machine's own files: the one its initramfs is in. */
export function machineFolderOf(argv: readonly string[]): string {
  const initramfs = argv[argv.indexOf("-initrd") + 1];
  if (!argv.includes("-initrd") || initramfs === undefined) throw new Error("QEMU was given no -initrd.");
  return dirname(initramfs);
}

/** The files below `folder` that the arguments name. */
export function filesBelow(argv: readonly string[], folder: string): string[] {
  const names = argv.flatMap((word) => word.split(/[,=:"]/)).filter((part) => part.startsWith(`${folder}/`));
  return [...new Set(names)];
}

/** The highest number of a descriptor that is handed down to it as a socket. */
export function lastDescriptor(argv: readonly string[]): number {
  return Math.max(
    2,
    ...argv.flatMap((word) => [...word.matchAll(/\bfd=(\d+)/g)].map(([, fd]) => Number(fd))),
  );
}

/** The same machine with its files in another folder and its SSH server on another port of the host. */
export function moveMachine(argv: readonly string[], from: string, to: string, sshPort: number): string[] {
  return argv
    .filter((word) => word !== "-S")
    .map((word) =>
      word
        .replaceAll(`${from}/`, `${to}/`)
        .replace(/hostfwd=tcp:127\.0\.0\.1:\d+-:22\b/, `hostfwd=tcp:127.0.0.1:${sshPort}-:22`),
    );
}
