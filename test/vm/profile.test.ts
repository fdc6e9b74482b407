import { expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";

/** Each sees the profile as root and as somebody else, in each of Debian's shells, interactive or not. */
const SHELLS = ["bash -lc", "dash -lc", "bash -lic", "dash -lic"].flatMap((shell) =>
  ["", "setpriv --reuid 65534 --regid 65534 --clear-groups "].map((user) => `${user}${shell}`),
);

const LOOK = SHELLS.map(
  (shell) =>
    `echo '== ${shell}'; env -i HOME=/root LANG=C ${shell} 'set; alias; umask' 2>/dev/null | grep -v -E '^(_|BASHPID|PPID|RANDOM|SRANDOM|SECONDS|EPOCH[A-Z]*|BASH_ARG[CV]|PIPESTATUS)='`,
).join("\n");

it("the image's profile does what Debian's own does, and takes the same files of profile.d in the same order", async () => {
  await SmolVM.use({}, async (vm) => {
    const names = [
      "b.sh",
      "a.sh",
      "B.sh",
      "_x.sh",
      "-y.sh",
      ".z.sh",
      "a b.sh",
      "a~.sh",
      "c.SH",
      "d.sh.bak",
      "e-1.0.sh",
    ];
    for (const name of names) {
      await vm.run(["sh", "-c", 'echo "SEEN=\\"\\$SEEN $1\\"" >"/etc/profile.d/$1"', "sh", name], {
        check: true,
      });
    }
    await vm.run(
      "mkdir /etc/profile.d/folder.sh; ln -s a.sh /etc/profile.d/link.sh; ln -s nowhere /etc/profile.d/dead.sh",
    );
    const look = async () => (await vm.run(LOOK, { shell: "raw", check: true })).stdout;
    const ours = await look();
    await vm.run("cp /usr/share/base-files/profile /etc/profile", { check: true });
    const debians = await look();
    expect(ours).toBe(debians);
    expect(ours.match(/^SEEN=.*b\.sh/gm)).toHaveLength(SHELLS.length);
  });
});
