import { describe, expect, it } from "vitest";
import { runCli } from "../../../src/cli/cli.ts";
import { isGroup } from "../../../src/cli/command.ts";
import { COMMANDS } from "../../../src/cli/commands/table.ts";
import { complete } from "../../../src/cli/completion/complete.ts";
import { BootError } from "../../../src/errors.ts";
import { guardLogger } from "../../../src/sandbox/machine/callbacks.ts";
import { fakeIo } from "../../setup/fake-io.ts";
import { recordingRun } from "../../support/fake-commands.ts";
import { fakeMachines } from "../../support/fake-machines.ts";

const EVIL = "\u001b[2J\u001b]0;owned\u0007\u009b1m\u202etxt\nforged running";
/** What a terminal would obey. */
const STEERS = /[^\P{Cc}\n\t]|\u202e/u;
const FORGED = /^forged/m;

/** Every text of it is a guest's, a neighbour's or a file's name. */
const texts = { name: EVIL, image: EVIL, createdAt: EVIL, folder: EVIL, statusReason: EVIL };
const machine = {
  ...texts,
  id: EVIL,
  labels: { [EVIL]: EVIL },
  startedAt: EVIL,
  boot: { way: "cold", wayReason: EVIL, accelerator: "tcg", phases: [{ name: EVIL, ms: 1 }] },
} as never;
const image = { ...texts, arch: EVIL, digest: EVIL, current: true, sizeBytes: 1, kernelPath: EVIL };
const snapshot = { ...texts, sourceName: EVIL, memSizeMib: 1, vcpuCount: 1, sizeBytes: 1 };
const item = { kind: EVIL, name: EVIL, path: EVIL, sizeBytes: 1, reason: EVIL, removed: true, error: null };
const check = { name: "qemu", ok: false, detail: EVIL, remediation: EVIL };
const error = new BootError(`It failed: ${EVIL}`, { commandLine: EVIL, qemuOutput: EVIL, consoleTail: EVIL });

function library() {
  const more = {
    setEnvVars: async () => [EVIL],
    unsetEnvVars: async () => ({ [EVIL]: EVIL }),
    listEnvVars: async () => ({ A: EVIL }),
    sshConfig: async () => `Host ${EVIL}`,
    snapshot: async () => snapshot,
    run: recordingRun(0).run,
  };
  const { api } = fakeMachines([machine], { more });
  const stopped = Object.assign(api.SmolVM, {
    listSnapshots: async () => [snapshot],
    use: async (_options: object, body: (vm: object) => Promise<unknown>) => body(await api.SmolVM.get(EVIL)),
  });
  return {
    ...{ ...api, SmolVM: stopped, sshConfigInclude: () => `Include ${EVIL}` },
    ...{ buildImage: async () => image, inspectImage: async () => image, listImages: async () => [image] },
    ...{ deleteImage: async () => {}, doctor: async () => ({ ok: false, checks: [check] }) },
    prune: async () => ({ items: [item, { ...item, removed: false, error: EVIL }], freedBytes: 1 }),
  };
}

/** The same, of which nothing goes well. */
function brokenLibrary() {
  const fail = () => Promise.reject(error);
  const all = Object.fromEntries(Object.keys(library()).map((name) => [name, fail]));
  const methods = ["get", "list", "create", "use", "restore", "listSnapshots", "deleteSnapshot"];
  return { ...all, SmolVM: Object.fromEntries(methods.map((name) => [name, fail])) };
}

/** A line for each command that there is. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  run: ["run", "x"],
  create: ["create"],
  ls: ["ls", "-a"],
  inspect: ["inspect", EVIL],
  exec: ["exec", EVIL, "x"],
  shell: ["shell", EVIL],
  "env ls": ["env", "ls", EVIL],
  "env get": ["env", "get", EVIL, EVIL],
  "env set": ["env", "set", EVIL, "A=1"],
  "env unset": ["env", "unset", EVIL, EVIL, `${EVIL}2`],
  logs: ["logs", EVIL],
  start: ["start", EVIL],
  stop: ["stop", EVIL],
  pause: ["pause", EVIL],
  resume: ["resume", EVIL],
  rm: ["rm", "-f", EVIL],
  "snapshot create": ["snapshot", "create", EVIL, EVIL],
  "snapshot ls": ["snapshot", "ls"],
  "snapshot rm": ["snapshot", "rm", EVIL],
  restore: ["restore", EVIL],
  fork: ["fork", EVIL],
  "image build": ["image", "build"],
  "image ls": ["image", "ls"],
  "image inspect": ["image", "inspect", EVIL],
  "image rm": ["image", "rm", EVIL],
  "ssh-config": ["ssh-config", EVIL],
  doctor: ["doctor"],
  prune: ["prune"],
  completion: ["completion", EVIL],
};
/** Their lines are read by another program, in which a line's start means nothing. */
const OTHERS_LINES = ["env ls", "ssh-config"];

async function perform(api: object, argv: readonly string[], isTTY: boolean) {
  const io = fakeIo(api, { isTTY });
  await runCli(argv, io);
  return { out: io.out(), err: io.err().replaceAll("\r\u001b[K", "") };
}

describe("text that smolvm shows", () => {
  it("comes from each of these commands", async () => {
    const names: string[] = [];
    for (const [name, entry] of Object.entries(COMMANDS)) {
      const spec = await entry.load();
      names.push(...(isGroup(spec) ? Object.keys(spec.commands).map((each) => `${name} ${each}`) : [name]));
    }
    expect(Object.keys(LINES).sort()).toEqual(names.sort());
  });

  it.each(Object.entries(LINES))("by %s steers no terminal and forges no line", async (command, argv) => {
    for (const isTTY of [true, false])
      for (const [what, api] of Object.entries({ good: library(), broken: brokenLibrary() })) {
        if (command === "logs" && what === "good") continue; // it shows the guest's own lines, and has tests of its own
        if (command === "shell" && what === "good") continue; // the same
        const { out, err } = await perform(api, argv, isTTY);
        expect(out + err, what).not.toBe("");
        expect(out + err, what).not.toMatch(STEERS);
        if (!OTHERS_LINES.includes(command) || what === "broken") expect(out + err, what).not.toMatch(FORGED);
        const json = await perform(api, [argv[0] ?? "", "--json", ...argv.slice(1)], isTTY);
        expect(json.out + json.err, what).not.toMatch(STEERS);
      }
  });

  it("is tamed by ls -q and snapshot ls -q too, and names that nobody has given are no completion", async () => {
    for (const argv of [
      ["ls", "-aq"],
      ["snapshot", "ls", "-q"],
    ]) {
      const { out } = await perform(library(), argv, false);
      expect(out).toContain("\\x1b[2J");
      expect(out).not.toMatch(STEERS);
      expect(out).not.toMatch(FORGED);
    }
    const good = { ...library().SmolVM, listSnapshots: async () => [{ name: "before", sourceName: EVIL }] };
    const lines = await complete(["restore", ""], fakeIo({ SmolVM: good }));
    expect(lines).toMatch(/^before\tof \\x1b\[2J.*\n$/);
    expect(lines).not.toMatch(STEERS);
    expect(await complete(["stop", ""], fakeIo(library()))).toBe("");
  });

  it("is the guest's own where a command prints it: as it comes", async () => {
    const iterate = async function* () {
      yield { stream: "stdout", bytes: Buffer.from(EVIL) };
    };
    const run = (...given: Parameters<ReturnType<typeof recordingRun>["run"]>) =>
      Object.assign(recordingRun(0).run(...given), { [Symbol.asyncIterator]: iterate });
    const { api } = fakeMachines([{}], { more: { run } });
    expect((await perform(api, ["exec", "web", "x"], true)).out).toBe(EVIL);
  });
});

it("a warning that a logger gets is one line, with nothing that steers", () => {
  const heard: string[] = [];
  const logger = guardLogger({ warn: (message) => heard.push(message) });
  logger.warn?.(`"web" is started once more: ${EVIL}`);
  expect(heard).toEqual([expect.stringContaining("once more: \\x1b[2J")]);
  expect(heard[0]).not.toMatch(/\p{Cc}|\u202e/u);
});
