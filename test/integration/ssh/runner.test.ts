import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  CommandExecutionUnavailableError,
  CommandOutcomeUnknownError,
  OperationTimeoutError,
} from "../../../src/errors.ts";
import { Run } from "../../../src/sandbox/command/run.ts";
import type { RunOptions } from "../../../src/sandbox/command/run-options.ts";
import { type CommandRunner, createCommandRunner } from "../../../src/ssh/command/command-runner.ts";
import { eventually } from "../../support/eventually.ts";
import { type SshGuest, startSshGuest } from "../../support/ssh-guest.ts";

let guest: SshGuest;
let runner: CommandRunner;
let die: (reason: string) => void;

beforeEach(async () => {
  guest = await startSshGuest();
  const died = new Promise<string>((resolve) => {
    die = resolve;
  });
  runner = createCommandRunner({
    vm: { id: "vm-test", name: "test" },
    target: async () => guest.target,
    died,
  });
});
afterEach(async () => {
  await runner.close();
  await guest.close();
});

const run = (command: string | readonly string[], options?: RunOptions) =>
  new Run(async () => ({ runner, vm: { id: "vm-test", name: "test" } }), command, options);

it("a command is told of to those who trace, from its begin to its end", async () => {
  const heard: unknown[] = [];
  const listener = (message: unknown, name: string | symbol) => heard.push([name, { ...Object(message) }]);
  const names = ["smolvm:command:start", "smolvm:command:end"];
  for (const name of names) subscribe(name, listener);
  await run("exit 3", { shell: "raw" });
  const begin = { vmId: "vm-test", command: "exit 3", shell: "raw" };
  await eventually(() => heard.length === 2, "both were told");
  for (const name of names) unsubscribe(name, listener);
  expect(heard).toEqual([
    [names[0], begin],
    [names[1], { ...begin, exitCode: 3, signal: null, error: null, durationMs: expect.any(Number) }],
  ]);
});

describe("a connection", () => {
  it("is made with the first command, and the same for all that follow", async () => {
    expect(guest.seen.connectionsMade).toBe(0);
    for (const word of ["a", "b", "c"]) expect((await run(`echo ${word}`)).output).toBe(word);
    expect(guest.seen.connectionsMade).toBe(1);
  });

  it("is one for commands that come at once", async () => {
    const results = await Promise.all([1, 2, 3].map((n) => run(["echo", String(n)])));
    expect(results.map(({ output }) => output)).toEqual(["1", "2", "3"]);
    expect(guest.seen.connectionsMade).toBe(1);
  });

  it("is tried again while the server does not answer yet", async () => {
    guest.behaviour.deafConnections = 3;
    expect((await run("echo up")).output).toBe("up");
    expect(guest.seen.connectionsMade).toBe(4);
  });

  it("is made again where it broke while nothing ran", async () => {
    await run("true");
    guest.cut();
    await eventually(() => guest.seen.connectionsOpen === 0, "the connection is closed");
    expect((await run("echo again")).output).toBe("again");
  });

  it("that has served a command is made again without a pause, however often it breaks", async () => {
    const beganMs = performance.now();
    for (let round = 0; round < 12; round++) {
      expect((await run("echo on")).output).toBe("on");
      guest.cut();
      await eventually(() => guest.seen.connectionsOpen === 0, "the connection is closed");
    }
    // One second for each would do; with pauses for connections of no use it takes more than half a minute.
    expect(performance.now() - beganMs).toBeLessThan(20_000);
  }, 60_000);

  it("that no command needs can be closed, and the next command makes another", async () => {
    await run("true");
    const running = run("sleep 0.5; echo done");
    await eventually(() => runner.idleMs === 0, "a command runs");
    await runner.rest();
    expect((await running).output).toBe("done");
    expect(guest.seen.connectionsMade).toBe(1);
    await eventually(() => runner.idleMs > 0, "nothing runs");
    await runner.rest();
    await eventually(() => guest.seen.connectionsOpen === 0, "the connection is closed");
    expect((await run("echo again")).output).toBe("again");
    expect(guest.seen.connectionsMade).toBe(2);
  });

  it("is left to a command that has only begun to ask for it", async () => {
    let isOver = false;
    const running = run("echo on", { stdin: "x" }).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      await runner.rest();
      await new Promise(setImmediate);
    }
    expect((await running).output).toBe("on");
    expect(guest.seen.connectionsMade).toBe(1);
  });

  it("that breaks before anything of a command was sent is made again without a word", async () => {
    await run("true");
    guest.behaviour.cutsAtExec = "{own%/*/*}"; // only the workers' script has it
    expect((await run("echo again", { stdin: "x" })).output).toBe("again");
    expect(guest.seen.connectionsMade).toBe(2);
  });

  it("to a server with another host key is refused, and no command is sent", async () => {
    const hostKey = Buffer.from(guest.target.hostKey);
    hostKey[hostKey.length - 1] = (hostKey[hostKey.length - 1] ?? 0) ^ 1;
    const strict = createCommandRunner({
      vm: { id: "vm-test", name: "test" },
      target: async () => ({ ...guest.target, hostKey }),
      died: new Promise(() => {}),
    });
    const refused = new Run(
      async () => ({ runner: strict, vm: { id: "vm-test", name: "test" } }),
      `touch ran`,
    );
    await expect(refused).rejects.toThrow(CommandExecutionUnavailableError);
    await expect(refused).rejects.toThrow(/another host key/);
    await strict.close();
    expect((await run("ls ran")).ok).toBe(false);
  });

  it("to a server that refuses the key is an error at once", async () => {
    guest.behaviour.refusesKeys = true;
    for (const refused of [run("true"), runner.waitConnected({ timeoutMs: 10_000 })])
      await expect(refused).rejects.toMatchObject({
        code: "COMMAND_EXECUTION_UNAVAILABLE",
        message: expect.stringContaining("refuses this user with this key"),
        remediation: expect.stringMatching(/key that it was last started with: .* stop and start/),
      });
  });

  it("can be waited for, with a deadline", async () => {
    await runner.waitConnected({ timeoutMs: 10_000 });
    expect(guest.seen.connectionsOpen).toBe(1);
    const nobody = createCommandRunner({
      vm: { id: "vm-test", name: "test" },
      target: async () => ({ ...guest.target, port: 1 }),
      died: new Promise(() => {}),
    });
    const late = nobody.waitConnected({ timeoutMs: 200 });
    await expect(late).rejects.toThrow(OperationTimeoutError);
    await expect(late).rejects.toThrow('the SSH server of machine "test"');
    await expect(
      nobody.waitConnected({ timeoutMs: 10_000, signal: AbortSignal.timeout(50) }),
    ).rejects.toMatchObject({
      code: "OPERATION_ABORTED",
    });
  });
});

describe("a server with few channels", () => {
  it("gets no more than it takes, over as few connections as will do; the others wait", async () => {
    guest.behaviour.mostChannels = 6;
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, n) => run(["echo", String(n)], { timeout: 60 })),
    );
    expect(results.map(({ output }) => Number(output))).toEqual(Array.from({ length: 40 }, (_, n) => n));
    expect(guest.seen.mostChannels).toBeLessThanOrEqual(6);
    expect(guest.seen.connectionsMade).toBeLessThanOrEqual(4);
  });

  it("that takes none at all makes a command unavailable", async () => {
    guest.behaviour.mostChannels = 0;
    await expect(run("true")).rejects.toThrow(CommandExecutionUnavailableError);
  });
});

describe("the fate of a command", () => {
  it("is unknown where the connection breaks while it runs, what it had printed is there, and the next one runs", async () => {
    const broken = run("echo begun; echo so >&2; sleep 100");
    const iterator = broken[Symbol.asyncIterator]();
    await iterator.next();
    await eventually(async () => guest.processes.bytesWritten > 0, "it has begun");
    guest.cut();
    const cutMs = performance.now();
    await expect(broken).rejects.toThrow(CommandOutcomeUnknownError);
    expect(performance.now() - cutMs).toBeLessThan(1000);
    await expect(broken).rejects.toMatchObject({ stdout: "begun\n" });
    expect((await run("echo next")).output).toBe("next");
  });

  it.each(["is cut", "is closed"] as const)(
    "is its end where the connection %s before anything guards it, though nobody asks again",
    async (how) => {
      const running = run("(setsid sleep 4721 &); echo begun; exec sleep 4721");
      running.catch(() => {});
      await eventually(
        () => guest.processes.bytesWritten > 0 && guest.processes.count("sleep 4721") === 2,
        "it has begun",
      );
      if (how === "is cut") guest.cut();
      else await runner.close();
      await eventually(() => guest.processes.count("sleep 4721") === 1, "what is of its session is dead");
      guest.powerOff(); // what has left it is out of reach without cgroups
    },
  );

  it("is no matter for what it left running on purpose, though the connection goes", async () => {
    expect((await run("(sleep 4722 &); echo over")).output).toBe("over");
    await runner.waitConnected({ timeoutMs: 10_000 });
    const keeps = run("sleep 100");
    await eventually(() => guest.processes.count("sleep 100") === 1, "another one runs");
    guest.cut();
    await expect(keeps).rejects.toThrow(CommandOutcomeUnknownError);
    await eventually(() => guest.processes.count("sleep 100") === 0, "that one is dead");
    expect(guest.processes.count("sleep 4722")).toBe(1);
    guest.powerOff();
  });

  it("is unknown where its channel closes without an exit status", async () => {
    guest.behaviour.forgetsExitStatus = true;
    const lost = run("kill -KILL $PPID; sleep 100");
    await expect(lost).rejects.toThrow(CommandOutcomeUnknownError);
    await expect(lost).rejects.toThrow(/without an exit status/);
  });

  it("is unknown where the machine dies under it, and it never ran where it had not begun", async () => {
    const running = run("echo begun; sleep 100");
    for await (const { text } of running) {
      expect(text).toBe("begun\n");
      guest.powerOff();
      die("QEMU was killed");
      break;
    }
    await expect(running).rejects.toThrow(/QEMU was killed/);
    await expect(run("true")).rejects.toThrow(CommandExecutionUnavailableError);
  });

  it("is a timeout where the server accepts and never answers", async () => {
    guest.behaviour.hangs = true;
    await expect(run("true", { timeout: 0.3 })).rejects.toThrow(OperationTimeoutError);
  });

  it("is that it never ran where no shell starts", async () => {
    await guest.close();
    guest = await startSshGuest("/bin/false");
    await expect(run("touch ran")).rejects.toThrow(/shell did not start/);
  });

  it("is an error with its commands when the runner is closed", async () => {
    const running = run("sleep 100");
    const settled = running.then(
      () => null,
      (error: unknown) => error,
    );
    await eventually(() => guest.seen.channels > 0, "it has begun");
    await runner.close();
    expect(await settled).toMatchObject({ name: expect.stringMatching(/Unknown|Unavailable/) });
    await expect(run("true")).rejects.toThrow(CommandExecutionUnavailableError);
  });
});
