import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { requireBuilt } from "../../setup/cli-process.ts";
import { REPOSITORY } from "../../setup/sources.ts";
import { type SshGuest, startSshGuest } from "../../support/ssh-guest.ts";

let guest: SshGuest;
beforeEach(async () => {
  requireBuilt();
  guest = await startSshGuest();
});
afterEach(() => guest.close());

const built = (path: string) => JSON.stringify(join(REPOSITORY, "dist", path));

/** A program that runs one command, with its own standard input as the command's, and has nothing else to do. */
const PROGRAM = `
  import { Run } from ${built("sandbox/command/run.js")};
  import { createCommandRunner } from ${built("ssh/command/command-runner.js")};
  const { target, command } = JSON.parse(process.env.GIVEN);
  target.hostKey = Buffer.from(target.hostKey, "base64");
  const vm = { id: "vm-test", name: "test" };
  const runner = createCommandRunner({ vm, target: async () => target, died: new Promise(() => {}) });
  const options = { shell: "raw", timeout: 30, stdin: process.stdin };
  const { stdout } = await new Run(async () => ({ runner, vm }), command, options);
  await runner.close();
  process.stdout.write(stdout);`;

it.each([
  ["reads a line of it", "head -n 1", "one\ntwo\n", "one\n"],
  ["reads nothing of it", "echo end", "one\n", "end\n"],
  ["gets nothing by it", "echo end", "", "end\n"],
])(
  "a program whose standard input stays open ends by itself after a command that %s",
  async (_what, ...given) => {
    const [command, input, printed] = given;
    const target = { ...guest.target, hostKey: Buffer.from(guest.target.hostKey).toString("base64") };
    const env = { ...process.env, GIVEN: JSON.stringify({ target, command }) };
    const program = spawn(process.execPath, ["--input-type=module", "-e", PROGRAM], {
      stdio: ["pipe", "pipe", "inherit"],
      env,
    });
    const patience = setTimeout(() => program.kill("SIGKILL"), 20_000);
    program.stdin.on("error", () => {});
    program.stdin.write(input);
    let text = "";
    program.stdout.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
    });
    const [status, signal] = await once(program, "close");
    clearTimeout(patience);
    program.stdin.destroy(); // it was open all the time
    expect({ status, signal, text }).toEqual({ status: 0, signal: null, text: printed });
  },
  30_000,
);
