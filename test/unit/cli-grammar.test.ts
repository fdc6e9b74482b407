import { describe, expect, it } from "vitest";
import { isGroup } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands/table.ts";
import { parseCommandLine } from "../../src/cli/grammar.ts";

const parse = (...argv: string[]) => parseCommandLine(argv, COMMANDS, "1.2.3");

async function parsed(...argv: string[]) {
  const found = await parse(...argv);
  if (found.kind !== "command") throw new Error(`${argv.join(" ")}: ${JSON.stringify(found)}`);
  return found;
}

async function misuse(...argv: string[]) {
  const found = await parse(...argv);
  if (found.kind !== "misuse") throw new Error(`${argv.join(" ")} was accepted`);
  return found;
}

async function answer(...argv: string[]): Promise<string> {
  const found = await parse(...argv);
  if (found.kind !== "answer") throw new Error(`${argv.join(" ")}: ${JSON.stringify(found)}`);
  return found.text;
}

async function everyCommand(): Promise<string[][]> {
  const found: string[][] = [];
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const loaded = await entry.load();
    if (isGroup(loaded)) found.push(...Object.keys(loaded.commands).map((child) => [name, child]));
    else found.push([name]);
  }
  return found;
}

describe("the words of the guest's command", () => {
  const cases: readonly (readonly [argv: string[], operands: string[]])[] = [
    [
      ["run", "--", "uname", "-a"],
      ["uname", "-a"],
    ],
    [
      ["run", "uname", "-a"],
      ["uname", "-a"],
    ],
    [
      ["run", "uname", "--json"],
      ["uname", "--json"],
    ],
    [["run", "--", "--version"], ["--version"]],
    [
      ["run", "--", "sh", "-c", "a && b", "--", "x"],
      ["sh", "-c", "a && b", "--", "x"],
    ],
    [
      ["run", "ls", "--", "-x"],
      ["ls", "--", "-x"],
    ],
    [
      ["run", "--memory", "1G", "ls", "--memory"],
      ["ls", "--memory"],
    ],
    [
      ["run", "--", "", " ", "*"],
      ["", " ", "*"],
    ],
    [
      ["run", "--", "image", "ls"],
      ["image", "ls"],
    ],
  ];
  it.each(cases)("%j runs %j", async (argv, operands) => {
    expect((await parsed(...argv)).operands).toEqual(operands);
  });
});

describe("flags", () => {
  const cases: readonly (readonly [argv: string[], flags: object])[] = [
    [["run", "x"], {}],
    [
      ["run", "--image", "tiny", "--memory", "512", "--cpus", "2", "--disk", "8G", "x"],
      { image: "tiny", memory: 512, cpus: 2, disk: 8192 },
    ],
    [["run", "--memory=2GiB", "x"], { memory: 2048 }],
    [["run", "-e", "A=1", "--env", "B=x=y", "-e", "A=2", "x"], { env: { A: "2", B: "x=y" } }],
    [["run", "--env", "EMPTY=", "x"], { env: { EMPTY: "" } }],
    [["run", "--timeout", "90", "x"], { timeout: 90 }],
    [["run", "--timeout", "1.5", "x"], { timeout: 1.5 }],
    [["run", "--timeout", "5m", "x"], { timeout: "5m" }],
    [
      ["run", "--network", "off", "--shell", "raw", "--accelerator", "tcg", "--template", "off", "x"],
      { network: "off", shell: "raw", accelerator: "tcg", template: "off" },
    ],
    [["run", "-it"], { interactive: true, tty: true }],
    [["run", "-t", "-i", "--escape", "off", "sh"], { interactive: true, tty: true, escape: "off" }],
    [["run", "--interactive", "cat", "-t"], { interactive: true }],
    [["image", "build", "--rebuild"], { rebuild: true }],
    [["ls", "-aq"], { all: true, quiet: true }],
    [["logs", "-f", "--tail", "20", "web"], { follow: true, tail: 20 }],
    [["rm", "web", "-f"], { force: true }],
  ];
  it.each(cases)("%j means %j", async (argv, flags) => {
    expect((await parsed(...argv)).flags).toEqual(flags);
  });

  const meant: readonly (readonly [argv: string[], operands: string[], summary: RegExp])[] = [
    [["env", "web"], ["web"], /^list the variables/],
    [["env", "ls", "ls"], ["ls"], /^list the variables/],
    [["env", "--json", "web"], ["web"], /^list the variables/],
    [["env", "set", "web", "A=1"], ["web", "A=1"], /^set variables/],
    [["snapshot", "web"], ["web"], /^save a running machine/],
    [["snapshot", "web", "before"], ["web", "before"], /^save a running machine/],
    [["snapshot", "create", "ls"], ["ls"], /^save a running machine/],
    [["snapshot", "ls"], [], /^list the snapshots/],
    [["snapshot", "rm", "a", "b"], ["a", "b"], /^remove snapshots/],
  ];
  it.each(meant)("%j is the command for %j that says %s of itself", async (argv, operands, summary) => {
    const found = await parsed(...argv);
    expect(found.operands).toEqual(operands);
    expect(found.spec.summary).toMatch(summary);
    expect(found.json).toBe(argv.includes("--json"));
  });

  it("--json is heard before and after the command's name, and not behind --", async () => {
    expect((await parsed("--json", "image", "ls")).json).toBe(true);
    expect((await parsed("image", "--json", "ls")).json).toBe(true);
    expect((await parsed("image", "ls", "--json")).json).toBe(true);
    expect((await parsed("run", "--", "x", "--json")).json).toBe(false);
  });

  it("an environment variable without a value takes the one it has here", async () => {
    process.env.SMOLVM_TEST_PASSED_ON = "here";
    try {
      expect((await parsed("run", "-e", "SMOLVM_TEST_PASSED_ON", "x")).flags).toEqual({
        env: { SMOLVM_TEST_PASSED_ON: "here" },
      });
    } finally {
      delete process.env.SMOLVM_TEST_PASSED_ON;
    }
    expect((await misuse("run", "-e", "SMOLVM_TEST_PASSED_ON", "x")).message).toContain(
      "SMOLVM_TEST_PASSED_ON is not set here",
    );
  });
});

describe("wrong usage", () => {
  const cases: readonly (readonly [argv: string[], message: RegExp])[] = [
    [["rnu"], /unknown command 'rnu'.*Did you mean run\?/],
    [["run", "--imag", "tiny", "x"], /unknown option '--imag'.*Did you mean --image\?/],
    [["image", "lss"], /unknown command 'lss'.*Did you mean ls\?/],
    [["doctor", "--jsn"], /unknown option '--jsn'.*Did you mean --json\?/],
    [["run", "-it", "--escape", "no", "x"], /Allowed choices are on, off/],
    [["run", "--memory"], /option '--memory <size>' argument missing/],
    [["run", "--memory", "lots", "x"], /argument 'lots' is invalid.*"512M"/],
    [["run", "--memory", "-1", "x"], /argument '-1' is invalid/],
    [["run", "--cpus", "1.5", "x"], /argument '1.5' is invalid.*whole number/],
    [["run", "--network", "of", "x"], /argument 'of' is invalid. Allowed choices are open, off/],
    [["run", "--shell", "bash", "x"], /Allowed choices are login, raw/],
    [["run", "--env", "=x", "x"], /argument '=x' is invalid/],
    [["image", "inspect"], /missing required argument 'name'/],
    [["image", "ls", "extra"], /too many arguments/],
    [["doctor", "extra"], /too many arguments/],
    [["sotp", "web"], /unknown command 'sotp'.*Did you mean stop\?/],
    [["create", "web", "--lable", "a=b"], /unknown option '--lable'.*Did you mean --label\?/],
    [["env"], /missing required argument 'name'/],
    [["env", "set", "web"], /missing required argument 'NAME/],
    [["snapshot", "ls", "extra"], /too many arguments/],
    [["logs", "--source", "kernel", "web"], /Allowed choices are console, qemu/],
    [["completion"], /missing required argument 'shell'/],
  ];
  it.each(cases)("%j is refused and says why", async (argv, message) => {
    expect((await misuse(...argv)).message).toMatch(message);
  });

  const usages: readonly (readonly [argv: string[], usage: string, command: string])[] = [
    [["rnu"], "smolvm [options] [command]", "smolvm"],
    [["create", "--name", "web"], "smolvm create [options] [name]", "smolvm create"],
    [["create", "--memory"], "smolvm create [options] [name]", "smolvm create"],
    [["create", "a", "b"], "smolvm create [options] [name]", "smolvm create"],
    [["run", "--name"], "smolvm run [options] [command...]", "smolvm run"],
    [["image", "rm"], "smolvm image rm [options] <names...>", "smolvm image rm"],
    [["image", "lss"], "smolvm image [options] [command]", "smolvm image"],
    [["--json", "env"], "smolvm env ls [options] <name>", "smolvm env ls"],
  ];
  it.each(usages)("%j shows how it is written, and where there is more", async (argv, usage, command) => {
    expect((await misuse(...argv)).help).toBe(`Usage: ${usage}\nMore about it: ${command} --help`);
  });

  it("a command line without a command shows what there is", async () => {
    expect((await misuse()).help).toContain("Commands:");
    expect((await misuse("image")).help).toContain("inspect");
  });

  it("remembers that JSON was asked for", async () => {
    expect((await misuse("run", "--json", "--imag", "x")).json).toBe(true);
    expect((await misuse("run", "--imag", "--", "--json")).json).toBe(false);
  });
});

describe("help", () => {
  it("lists every command", async () => {
    const text = await answer("--help");
    for (const [name, { summary }] of Object.entries(COMMANDS))
      expect(text).toMatch(new RegExp(`^  ${name}\\b.*${summary.slice(0, 20)}`, "m"));
    expect(text).toContain("124 timeout");
  });

  it("of each command has examples of it, and --json", async () => {
    for (const words of await everyCommand()) {
      const text = await answer(...words, "--help");
      expect(text).toMatch(new RegExp(`Examples:(\n.*)*\n {2}\\$ .*smolvm ${words[0]} `));
      expect(text).toContain("--json");
    }
  });

  it("of a group shows the examples of its commands", async () => {
    for (const words of [["env"], ["image"], ["snapshot"]])
      expect(await answer(...words, "--help")).toMatch(/Commands:[\s\S]*Examples:\n {2}\$ smolvm /);
  });

  it("is the same by `help run` and `run --help`", async () => {
    expect(await answer("help", "run")).toBe(await answer("run", "--help"));
  });

  it("--version says the version", async () => {
    expect(await answer("--version")).toBe("1.2.3\n");
    expect(await answer("-V")).toBe("1.2.3\n");
  });

  it("the summaries of the table are those of the commands", async () => {
    for (const entry of Object.values(COMMANDS)) expect((await entry.load()).summary).toBe(entry.summary);
  });
});

it("any line of words is understood or refused, and never crashes (seeded)", async () => {
  const seed = Number(process.env.SMOLVM_TEST_SEED ?? Date.now() % 2 ** 31);
  const random = randomFrom(seed);
  const words = [
    "run",
    "image",
    "ls",
    "rm",
    "build",
    "doctor",
    "exec",
    "env",
    "snapshot",
    "help",
    "--",
    "--json",
    "--help",
    "-V",
    "--memory",
    "1G",
    "-e",
    "A=1",
    "--env=",
    "",
    "-",
    "---",
    "--no-json",
    "é",
    "\n",
    "--timeout=",
    "-eA",
    "x",
  ];
  for (let round = 0; round < 500; round += 1) {
    const argv = Array.from(
      { length: Math.floor(random() * 6) },
      () => words[Math.floor(random() * words.length)] ?? "",
    );
    const found = await parse(...argv).catch(
      (error: unknown) => new Error(`seed ${seed}: ${JSON.stringify(argv)}`, { cause: error }),
    );
    if (found instanceof Error) throw found;
    if (found.kind === "misuse") expect(found.message, `seed ${seed}: ${JSON.stringify(argv)}`).not.toBe("");
  }
});

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
