import type { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { runCli } from "../../../src/cli/cli.ts";
import { CommandOutcomeUnknownError } from "../../../src/errors.ts";
import { type FakeIo, fakeIo } from "../../setup/fake-io.ts";
import { machineWithShell } from "../../support/fake-commands.ts";

/** `smolvm run` with this terminal; `during` happens as soon as it is attached. */
async function hold(
  argv: readonly string[],
  during: (machine: ReturnType<typeof machineWithShell>, io: FakeIo) => void,
  env: Record<string, string> = {},
) {
  const machine = machineWithShell();
  const io = Object.assign(fakeIo({ SmolVM: machine.SmolVM }, { isTTY: true, staysOpen: true }), { env });
  const ended = runCli(["run", ...argv], io);
  await expect.poll(() => machine.seen.isAttached).toBe(true);
  during(machine, io);
  const status = await ended;
  return { status, out: io.out(), err: io.err(), machine, asked: machine.asked[0] };
}

describe("smolvm run -it", () => {
  it("is the login shell, as big as the terminal, of the terminal's type", async () => {
    const { asked, status } = await hold(["-it"], ({ exit }) => exit(3), { TERM: "tmux-256color" });
    expect(asked).toEqual({
      columns: 60,
      rows: 20,
      term: "tmux-256color",
      timeout: null,
      signal: expect.any(AbortSignal),
    });
    expect(status).toBe(3);
  });

  it.each([
    [["-it", "top"], { command: "top" }],
    [["-it", "--", "ls", "-l"], { command: ["ls", "-l"] }],
    [["-it", "--shell", "raw"], { command: ["/bin/sh"], shell: "raw" }],
    [["-it", "--timeout", "5s", "--shell", "login", "x"], { command: "x", shell: "login", timeout: "5s" }],
  ])("%j asks for %j", async (argv, options) => {
    const { asked } = await hold(argv, ({ exit }) => exit(0));
    expect(asked).toMatchObject(options);
  });

  it.each(["", "no such/terminal", "x".repeat(65)])("leaves the default where TERM is %j", async (TERM) => {
    const { asked } = await hold(["-it"], ({ exit }) => exit(0), { TERM });
    expect(asked).not.toHaveProperty("term");
  });

  it("passes keys and output on", async () => {
    const { machine, out } = await hold(["-it"], ({ prints, exit }, io) => {
      prints("hello\r\n");
      io.stdin.once("data", () => exit(0));
      io.stdin.push("ls\r");
    });
    expect(machine.typed()).toBe("ls\r");
    expect(out).toBe("hello\r\n");
  });

  it.each([
    ["Ctrl-]", "ls", "\u001dx"],
    ["~.", "ls\r", "~.x"],
  ])("%s ends what runs there, and is 130", async (_, before, keys) => {
    const { machine, status, err } = await hold(["-it"], (_machine, io) => io.stdin.push(before + keys));
    expect(status).toBe(130);
    expect(machine.typed()).toBe(before);
    expect(machine.seen.isClosed).toBe(true);
    expect(err).toBe("");
  });

  it("--escape off passes those keys on", async () => {
    const { machine } = await hold(["-it", "--escape", "off"], ({ exit }, io) => {
      io.stdin.once("data", () => exit(0));
      io.stdin.push("\r~.\u001d");
    });
    expect(machine.typed()).toBe("\r~.\u001d");
  });

  it.each<[string, (stdin: Readable) => void]>([
    ["ends", (stdin) => stdin.push(null)],
    ["breaks", (stdin) => stdin.destroy(new Error("read EIO"))],
  ])("a terminal that %s is hung up: 129, and what ran there is ended", async (_, hangUp) => {
    const { machine, status } = await hold(["-it"], (_machine, io) => hangUp(io.stdin));
    expect(status).toBe(129);
    expect(machine.seen.isClosed).toBe(true);
  });

  it("a link that breaks is 125 and a message on a line of its own, and the screen is put in order before", async () => {
    const { status, out, err } = await hold(["-it"], ({ prints, fail }) => {
      prints("\u001b[?1049hvim");
      fail(new CommandOutcomeUnknownError("The link broke.", { stdout: "", stderr: "" }));
    });
    expect(status).toBe(125);
    expect(out).toBe("\u001b[?1049hvim\u001b[?1049l\r\n");
    expect(err).toBe("smolvm: The link broke.\n");
  });

  it("-t alone shows a terminal and passes no key on", async () => {
    const { machine } = await hold(["-t", "ls"], ({ prints, exit }, io) => {
      io.stdin.push("typed");
      prints("seen\r\n");
      setImmediate(exit, 0);
    });
    expect(machine.typed()).toBe("");
  });
});

describe("what can't be meant", () => {
  it.each([
    [["run", "-it", "--json", "x"], true, "--json"],
    [["run", "-it", "x"], false, "standard input is none"],
    [["run", "-t", "x"], false, "standard input is none"],
    [["run", "-t", "x"], false, "'ssh -t'), or leave out -t: what is piped in is passed on without it."],
    [["run"], true, "-it for a shell"],
    [["run", "-t"], true, "-it for a shell"],
    [["run", "-i"], true, "-it for a shell"],
    [["run", "-it", " "], true, "is empty"],
  ])("%j (a terminal: %j) → 2, with a word about %s", async (argv, isTTY, hint) => {
    const io = fakeIo({}, { isTTY });
    expect(await runCli(argv, io)).toBe(2);
    expect(io.err() + io.out()).toContain(hint);
  });
});
