import type { SmolVM } from "../../src/index.ts";

/**
 * The command lines with this in them that a user of the guest who has no rights sees, again and again, while `during` goes on. The
 * text itself is not in what looks for it.
 */
export async function whatOthersSee(vm: SmolVM, text: string, during: () => Promise<void>): Promise<string> {
  const pattern = `[${text.slice(0, 1)}]${text.slice(1)}`;
  const look = `echo looks; while :; do for one in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$one; echo; done 2>/dev/null | cut -c 1-400000 | grep -a '${pattern}'; done`;
  const watching = vm.run(look, { shell: "raw", user: "nobody", timeout: 300 });
  let seen = "";
  const looks = new Promise<void>((resolve) => {
    void (async () => {
      for await (const { text: piece } of watching) {
        seen += piece.slice(0, 1000);
        resolve();
      }
    })().catch(() => {});
  });
  try {
    await looks;
    await during();
  } finally {
    watching.kill("SIGKILL");
    await watching.catch(() => {});
  }
  return seen.replace("looks\n", "");
}
