// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunOptions, SmolVM } from "../../src/index.ts";
import { whatOthersSee } from "../support/command-lines.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

const MODES: readonly (readonly [name: string, options: RunOptions])[] = [
  ["raw", { shell: "raw" }],
  ["login", {}],
  ["raw, as another user", { shell: "raw", user: "daemon" }],
  ["login, as another user", { user: "daemon" }],
  ["raw, in a terminal", { shell: "raw", pty: true }],
  ["login, in a terminal", { pty: true }],
  ["login, in a terminal, as another user", { user: "daemon", pty: true }],
];

/** As long as one may be. */
const LONG = `secret-${"x".repeat(131_072 - 8 - "LONG=".length)}`;
const SECRETS = { KEY: "secret-key it's", LONG, session: "secret", PATH: "/usr/bin:/bin", EMPTY: "" };
const SHOW = `printf "%s|" "$KEY" "\${#LONG}" "$session" "$PATH" "$EMPTY"; env | grep -c smolvm_`;

async function expectSecret(options: RunOptions, show: string): Promise<void> {
  const seen = await whatOthersSee(vm, "secret-", async () => {
    for (const command of [`${show}; sleep 0.3`, `${show}; sleep 0.3; : ${"y".repeat(110_000)}`]) {
      const { stdout } = await vm.run(command, { ...options, env: SECRETS });
      expect(stdout.trim()).toBe(`secret-key it's|${LONG.length}|secret|/usr/bin:/bin||0`);
    }
    const { stdout } = await vm.run(["env"], { ...options, env: SECRETS });
    for (const [name, value] of Object.entries(SECRETS)) expect(stdout).toContain(`${name}=${value}`);
    expect(stdout).not.toContain("__smolvm");
  });
  expect(seen).toBe("");
}

/** Near to all that Linux allows, and of what has to be quoted. */
const QUOTES = Object.fromEntries(Array.from({ length: 14 }, (_, n) => [`QUOTES_${n}`, "'".repeat(130_000)]));

/** More than there is room for in one word, were each named there. */
const MANY = Object.fromEntries(Array.from({ length: 4000 }, (_, n) => [`NAME_${n}`, `it's ${n}`]));

async function expectMany(options: RunOptions): Promise<void> {
  const count = 'env | grep -c -e "^NAME_[0-9]*=it\'s"; env | grep -c smolvm_';
  for (const command of [count, ["sh", "-c", count]]) {
    const { stdout } = await vm.run(command, { ...options, env: MANY, timeout: 100 });
    expect(stdout.split(/\s+/)).toEqual(["4000", "0", ""]);
  }
}

async function setShell(shell: string): Promise<void> {
  for (const user of ["root", "daemon"])
    await vm.run(["usermod", "-s", shell, user], { shell: "raw", check: true });
}

/** A raw shell is the same whatever the login shell is. */
const LOGIN = MODES.filter(([, options]) => options.shell !== "raw");

describe.each([
  ["/bin/bash", MODES],
  ["/bin/dash", LOGIN],
])("with the login shell %s", (shell, modes) => {
  beforeAll(() => setShell(shell));

  it.each(modes)("no other user sees a variable's value in a command line: %s", async (_name, options) => {
    await expectSecret(options, SHOW);
  });

  it.each(modes)("many variables are passed on: %s", async (_name, options) => {
    await expectMany(options);
  });
});

describe("with a login shell of another kind", () => {
  beforeAll(async () => {
    const install = "apt-get update && apt-get install -y --no-install-recommends zsh fish tcsh";
    await vm.run(install, { shell: "raw", timeout: 500, check: true });
    // fish writes to its home.
    const home = "install -d -o daemon /home/daemon && usermod -d /home/daemon daemon";
    await vm.run(home, { shell: "raw", check: true });
  }, 520_000);

  describe.each(["/usr/bin/zsh", "/usr/bin/fish", "/usr/bin/tcsh"])("%s", (shell) => {
    beforeAll(() => setShell(shell));
    const modes = [LOGIN[0], LOGIN.at(-1)].filter((mode) => mode !== undefined); // they take long to start

    it.each(modes)("no other user sees a variable's value in a command line: %s", async (_name, options) => {
      await expectSecret(options, `/bin/sh -c '${SHOW}'`);
    });

    it.each(modes)("many variables are passed on: %s", async (_name, options) => {
      await expectMany(options);
    });
  });
});

it("variables of quotes alone are passed on, as near to all that Linux allows as others", async () => {
  const options: RunOptions = { shell: "raw", env: QUOTES, timeout: 100 };
  const { stdout } = await vm.run(["sh", "-c", "echo ${#QUOTES_13}"], options);
  expect(stdout).toBe("130000\n");
});
