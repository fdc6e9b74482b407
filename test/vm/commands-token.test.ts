import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type RunOptions, SmolVM } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";

/** The words by which this side knows the lines of the guest's scripts. */
const tokens = vi.hoisted(() => new Set<string>());
vi.mock("../../src/ssh/protocol/markers.ts", async (importOriginal) => {
  const { MarkerSplitter } = await importOriginal<typeof import("../../src/ssh/protocol/markers.ts")>();
  type Parameters = ConstructorParameters<typeof MarkerSplitter>;
  return {
    MarkerSplitter: class extends MarkerSplitter {
      constructor(...parameters: Parameters) {
        super(...parameters);
        tokens.add(parameters[0]);
      }
    },
  };
});

/** All that the kernel shows of processes and what they were started with, as far as this user may see it. */
const LOOK = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ /proc/self/environ 2>/dev/null";
const known = (text: string) => [...tokens].filter((token) => text.includes(token));

const USERS = ["root", "daemon", "nobody"];
const MODES: readonly (readonly [name: string, options: RunOptions])[] = [
  ["login", {}],
  ["raw", { shell: "raw" }],
  ["login, in a folder", { cwd: "/tmp" }],
  ["login, with input", { stdin: "input" }],
  ["login, as another user", { user: "daemon" }],
  ["raw, as another user, in a folder", { shell: "raw", user: "daemon", cwd: "/tmp" }],
  ["in a terminal", { pty: true }],
  ["in a terminal, as another user", { pty: true, user: "daemon", cwd: "/tmp" }],
];

let vm: SmolVM;
let watchers: ReturnType<SmolVM["run"]>[] = [];
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(async () => {
  for (const watcher of watchers) watcher.kill("SIGKILL");
  await Promise.allSettled(watchers);
  await vm.delete();
});

describe("the word that our shells begin their lines with", () => {
  it("is seen by no clone's first command", async () => {
    const seen = await vm.run(`${LOOK}; set`);
    expect(seen.stdout).toContain("/proc/[0-9]*/cmdline");
    expect(known(seen.stdout)).toEqual([]);
    expect(tokens.size).toBeGreaterThan(0);
  });

  it.each(MODES)("is seen by no command: %s", async (_, options) => {
    for (const waitMs of [0, 700]) {
      await new Promise((resolve) => setTimeout(resolve, waitMs)); // for a shell that is started ahead of time
      const { stdout } = await vm.run(`${LOOK}; set`, options);
      expect(stdout).toContain("PATH=");
      expect(known(stdout)).toEqual([]);
    }
  });

  it("is seen by nobody who watches while commands start and run, root included", async () => {
    const fileOf = (user: string) => `/dev/shm/${user}`;
    watchers = USERS.map((user) =>
      vm.run(`while :; do ${LOOK}; done >${fileOf(user)}`, { user, shell: "raw", timeout: 300 }),
    );
    const sizes = async () =>
      (await vm.run(["stat", "-c", "%s", ...USERS.map(fileOf)], { shell: "raw" })).stdout;
    await eventually(async () => !/^0$/m.test(await sizes()) && (await sizes()) !== "", "all of them look");
    for (let round = 0; round < 3; round++)
      for (const [, options] of MODES) await vm.run("sleep 0.05", options);
    const nowhere = vm.run("true", { user: "daemon", cwd: "/none" });
    await expect(nowhere).rejects.toThrow("/none");
    for (const watcher of watchers) watcher.kill("SIGKILL");
    await Promise.allSettled(watchers);
    for (const user of USERS) {
      const { stdout } = await vm.run(`tr '\\0' '\\n' <${fileOf(user)} | sort -u`, { shell: "raw" });
      expect(stdout, user).toContain("sleep 0.05");
      expect(known(stdout), user).toEqual([]);
    }
    expect(tokens.size).toBeGreaterThan(MODES.length);
  });
});
