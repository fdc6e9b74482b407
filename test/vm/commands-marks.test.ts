import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

const IN_PLACE = [
  ["a folder", "mkdir $f"],
  ["a fifo", "mkfifo $f"],
  ["a link to a folder", "ln -s /etc $f"],
  ["nothing", ":"],
] as const;

describe("a command that removes the file by which it is known to have begun, and puts there", () => {
  it.each(IN_PLACE)("%s, has its result, and so do those that follow", async (_, put) => {
    for (const shell of ["login", "raw"] as const) {
      await Promise.all([1, 2].map(() => vm.run("sleep 0.2", { shell }))); // two workers wait then, each with its file
      const script = `for f in /run/smolvm.*.mark; do rm -rf $f; ${put}; done; echo done; exit 3`;
      expect(await vm.run(script, { shell, timeout: 20 })).toMatchObject({ exitCode: 3, stdout: "done\n" });
      for (const next of ["login", "raw"] as const)
        for (const { exitCode } of await Promise.all(
          [1, 2].map(() => vm.run("echo next; exit 4", { shell: next, timeout: 20 })),
        ))
          expect(exitCode).toBe(4);
    }
    await vm.run("rm -rf /run/smolvm.*.mark", { shell: "raw" });
  });
});

it("another user has no say in whether the commands of root have begun", async () => {
  const shell = "raw";
  const writing = "exec 2>&-; echo; while :; do for f in /run/smolvm.*.mark; do echo 1 >$f; done; done";
  let foe: ReturnType<SmolVM["run"]> | null = null;
  await new Promise<unknown>((resolve) => {
    foe = vm.run(writing, { shell, user: "daemon", onStdout: resolve });
    foe.catch(resolve);
  });
  for (let round = 0; round < 5; round++) {
    await vm.run("true", { shell, user: "daemon" }).catch(() => {}); // of its own one it may say so
    for (let next = 0; next < 2; next++)
      expect((await vm.run("sleep 0.1; exit 4", { shell })).exitCode).toBe(4);
  }
  (foe as ReturnType<SmolVM["run"]> | null)?.kill("SIGKILL");
  await Promise.allSettled([foe]);
});

it("a profile does not find in its shell's script by what word that talks to the host", async () => {
  await vm.run("cat >/root/.profile", {
    shell: "raw",
    stdin: 'echo "$BASH_EXECUTION_STRING" >/root/seen\n',
    check: true,
  });
  for (let tries = 0; tries < 2; tries++) {
    await vm.run("true", { env: { A: "b" }, cwd: "/" });
    expect((await vm.run("cat /root/seen", { shell: "raw" })).stdout).not.toMatch(/smolvm-[0-9a-f]{16}/);
    await sleep(1_000); // a shell waits by then
  }
});
