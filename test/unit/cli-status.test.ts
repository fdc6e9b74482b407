import { describe, expect, it } from "vitest";
import type { Api } from "../../src/cli/api.ts";
import { runCli } from "../../src/cli/cli.ts";
import type { CommandEntry, CommandSpec, Context, Outcome } from "../../src/cli/command.ts";
import {
  BootError,
  CommandExecutionUnavailableError,
  CommandOutcomeUnknownError,
  HostError,
  OperationAbortedError,
  OperationTimeoutError,
  ValidationError,
} from "../../src/errors.ts";
import { fakeIo } from "../setup/fake-io.ts";

const seen = { commandLine: "qemu", qemuOutput: "", consoleTail: "" };

function table(act: (context: Context) => Promise<Outcome>): Record<string, CommandEntry> {
  const spec: CommandSpec = {
    summary: "try",
    examples: [],
    act: (_operands, _flags, context) => act(context),
  };
  return { try: { summary: "try", load: async () => spec } };
}

const failing = (error: unknown) => table(() => Promise.reject(error));

async function perform(commands: Record<string, CommandEntry>, ...argv: string[]) {
  const io = fakeIo({});
  return { status: await runCli(argv, io, commands), out: io.out(), err: io.err() };
}

describe("exit status", () => {
  const cases: readonly (readonly [what: string, error: unknown, status: number])[] = [
    ["a command's timeout", new OperationTimeoutError("sleep 9", 1), 124],
    ["a bad value", new ValidationError("memSizeMib must be …"), 2],
    ["a missing tool", new HostError("qemu-img is not installed."), 125],
    ["a failed boot", new BootError("The machine did not come up.", seen), 125],
    [
      "a command that never ran",
      new CommandExecutionUnavailableError("vm-1", "no SSH", "use SSH_BOOT_ARGS"),
      125,
    ],
    ["a broken link", new CommandOutcomeUnknownError("The link broke.", { stdout: "", stderr: "" }), 125],
    ["an abort", new OperationAbortedError("run"), 130],
    ["an error of Node's", Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" }), 125],
    ["a thrown string", "oops", 125],
    ["a bug", new TypeError("x is not a function"), 125],
    ["nothing at all", undefined, 125],
  ];
  it.each(cases)(
    "%s → its status, one message on stderr, nothing on stdout",
    async (_what, error, status) => {
      const ended = await perform(failing(error), "try");
      expect(ended.status).toBe(status);
      expect(ended.out).toBe("");
      expect(ended.err).toMatch(/^smolvm: .+\n/);
    },
  );

  it.each([0, 1, 7, 126, 127, 137, 255])("the guest's own %i passes through", async (status) => {
    const ended = await perform(
      table(async () => ({ status, document: {}, text: "" })),
      "try",
    );
    expect(ended).toEqual({ status, out: "", err: "" });
  });

  it("wrong usage is 2, with a suggestion", async () => {
    const ended = await perform(failing(null), "tri");
    expect(ended.status).toBe(2);
    expect(ended.err).toContain("Did you mean try?");
  });
});

describe("output", () => {
  it("the remediation stands below the message", async () => {
    const { err } = await perform(
      failing(new HostError("No QEMU.", { remediation: "apt-get install qemu" })),
      "try",
    );
    expect(err).toBe("smolvm: No QEMU.\n  apt-get install qemu\n");
  });

  it("a failed boot shows the console's end, QEMU's last words and its command line", async () => {
    const error = new BootError("It did not come up.", {
      commandLine: "qemu -m 64M",
      qemuOutput: "no such machine\n",
      consoleTail: "line one\npanic",
    });
    const { err } = await perform(failing(error), "try");
    expect(err).toBe(
      [
        "smolvm: It did not come up.",
        "",
        "The end of the guest's console:",
        "  line one",
        "  panic",
        "",
        "QEMU's last words:",
        "  no such machine",
        "",
        "QEMU's command line:",
        "  qemu -m 64M",
        "",
      ].join("\n"),
    );
    const { out } = await perform(failing(error), "try", "--json");
    expect(JSON.parse(out).error).toMatchObject({
      consoleTail: "line one\npanic",
      commandLine: "qemu -m 64M",
    });
  });

  it("text ends with a newline, exactly one", async () => {
    expect(
      (
        await perform(
          table(async () => ({ document: {}, text: "a" })),
          "try",
        )
      ).out,
    ).toBe("a\n");
    expect(
      (
        await perform(
          table(async () => ({ document: {}, text: "a\n" })),
          "try",
        )
      ).out,
    ).toBe("a\n");
    expect(
      (
        await perform(
          table(async () => ({ document: {}, text: "" })),
          "try",
        )
      ).out,
    ).toBe("");
  });

  it("--json prints the document and no text", async () => {
    const { out, err } = await perform(
      table(async () => ({ document: { n: 1 }, text: "one" })),
      "try",
      "--json",
    );
    expect(JSON.parse(out)).toEqual({ n: 1 });
    expect(err).toBe("");
  });

  it("--json prints errors in the same place, with the same three keys always", async () => {
    for (const error of [
      new HostError("No QEMU.", { remediation: "install it" }),
      new Error("x"),
      "oops",
      null,
    ]) {
      const { out, err, status } = await perform(failing(error), "try", "--json");
      expect(status).toBe(125);
      expect(err).toBe("");
      expect(Object.keys(JSON.parse(out))).toEqual(["error"]);
      expect(Object.keys(JSON.parse(out).error)).toEqual(["code", "message", "remediation"]);
    }
  });

  it("--json shows what a command had printed when it was ended", async () => {
    const printed = { stdout: "half", stderr: "way" };
    const { out } = await perform(failing(new OperationTimeoutError("x", 1, printed)), "try", "--json");
    expect(JSON.parse(out).error).toMatchObject({
      code: "OPERATION_TIMEOUT",
      remediation: expect.stringContaining("more time"),
      ...printed,
    });
  });

  it("--json prints wrong usage as a document too", async () => {
    const { out, status } = await perform(failing(null), "try", "--nope", "--json");
    expect(status).toBe(2);
    expect(JSON.parse(out).error).toMatchObject({
      code: "USAGE",
      message: expect.stringContaining("--nope"),
    });
  });
});

describe("interruption", () => {
  const untilAborted = table(
    ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new OperationAbortedError("run")));
      }),
  );

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("%s ends the work and then smolvm, with %i and no words", async (name, status) => {
    const io = fakeIo({});
    const ended = runCli(["try"], io, untilAborted);
    setImmediate(() => io.interrupt(name));
    expect(await ended).toBe(status);
    expect(io.out() + io.err()).toBe("");
  });

  it("a clean-up that fails after Ctrl-C is told", async () => {
    const commands = table(async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw new Error("the machine's folder can't be removed");
    });
    const io = fakeIo({});
    const ended = runCli(["try"], io, commands);
    setImmediate(() => io.interrupt("SIGINT"));
    expect(await ended).toBe(130);
    expect(io.err()).toContain("can't be removed");
  });

  it("a reader that closes stdout ends the work quietly", async () => {
    const io = fakeIo({});
    const ended = runCli(["try"], io, untilAborted);
    setImmediate(() => io.breakStdout("EPIPE"));
    expect(await ended).toBe(141);
    expect(io.err()).toBe("");
  });

  it("a full disk under stdout is an error", async () => {
    const io = fakeIo({});
    const ended = runCli(["try"], io, untilAborted);
    setImmediate(() => io.breakStdout("ENOSPC"));
    expect(await ended).toBe(125);
    expect(io.err()).toContain("ENOSPC");
  });
});

describe("progress", () => {
  const commands = table(async ({ progress }) => {
    progress.show(`unpacking\n${"x".repeat(100)}`);
    return { document: {}, text: "done" };
  });

  it("is one line on a terminal, never wider than it, and gone at the end", async () => {
    const io = fakeIo({}, { isTTY: true });
    await runCli(["try"], io, commands);
    const [, line = ""] = io.err().split("\u001b[K");
    expect(line.replace("\r", "")).toHaveLength(59);
    expect(line).toContain("unpacking x");
    expect(io.err().endsWith("\r\u001b[K")).toBe(true);
    expect(io.out()).toBe("done\n");
  });

  it("is absent elsewhere", async () => {
    expect((await perform(commands, "try")).err).toBe("");
  });
});

it("the library is loaded for a command only", async () => {
  let loads = 0;
  const io = {
    ...fakeIo({}),
    loadApi: async () => {
      loads += 1;
      return {} as Api;
    },
  };
  const commands = table(async () => ({ document: {}, text: "" }));
  await runCli(["--help"], io, commands);
  await runCli(["try", "--help"], io, commands);
  await runCli(["nope"], io, commands);
  expect(loads).toBe(0);
  await runCli(["try"], io, commands);
  expect(loads).toBe(1);
});
