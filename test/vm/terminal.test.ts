import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type HostTerminal, openHostTerminal } from "../support/host-terminal.ts";
import { type OwnHome, useOwnHome } from "../support/templates.ts";

const PROMPT = "~# ";
const CONTROL_C = "\u0003";
const CONTROL_BRACKET = "\u001d";

let home: OwnHome;
let terminal: HostTerminal;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(() => home[Symbol.asyncDispose]());
afterEach(async () => {
  terminal.close();
  await eventually(() => home.machines().length === 0, "the machine is gone");
});

function open(...args: string[]): void {
  terminal = openHostTerminal(["run", "-it", "--image", "tiny", ...args]);
}

async function openPrompt(...args: string[]): Promise<void> {
  open(...args);
  await terminal.until(PROMPT);
}

/** What is typed is echoed, so the answer is looked for behind the line's end. */
async function ask(line: string, answer: string): Promise<void> {
  terminal.type(`${line}\r`);
  await terminal.until(`\n${answer}`);
  await terminal.until(PROMPT);
}

async function leaves(status: number): Promise<void> {
  const ended = await terminal.ended();
  expect(ended.status).toBe(status);
  expect(ended.after).toBe(ended.before);
  expect(home.machines()).toEqual([]);
}

/** The QEMU of the one machine. */
function pidOfQemu(): number {
  const name = home.machines()[0] ?? "no machine";
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  const isQemu = (pid: string) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return words[0]?.includes("qemu-system") && words.some((word) => word.includes(join(name, "")));
    } catch {
      return false;
    }
  };
  return Number(pids.find(isQemu));
}

describe("a terminal of the guest", () => {
  it("is of the size and the type of the user's, and follows it", async () => {
    await openPrompt();
    await ask("stty size", "30 100");
    await ask("echo $TERM", "xterm");
    terminal.type(`sh -c "trap 'stty size; exit' WINCH; echo go; while :; do sleep 0.1; done"\r`);
    await terminal.until("\ngo\r\n");
    terminal.resize(50, 132);
    await terminal.until("50 132\r\n");
    terminal.resize(30, 100);
    terminal.type("exit 0\r");
    await leaves(0);
  });

  it("passes Control-C to the guest's program, which smolvm outlives", async () => {
    await openPrompt();
    // Told by what is to be interrupted: a key between two commands would be the shell's.
    terminal.type("sh -c 'echo go; exec sleep 600'\r");
    await terminal.until("\ngo\r\n");
    terminal.type(CONTROL_C);
    await terminal.until(PROMPT);
    await ask("echo interrupted: $?", "interrupted: 130");
    terminal.type("exit 0\r");
    await leaves(0);
  });

  it("passes characters beyond ASCII on, and takes back a whole one by Backspace", async () => {
    await openPrompt();
    await ask("echo gr\\üße 世界 \u{1f600}", "grüße 世界 \u{1f600}");
    terminal.type("echo go; read -r x; echo got=$x\r");
    await terminal.until("\ngo\r\n");
    terminal.type("aü世\u007f\u007fb\r");
    await terminal.until("\ngot=ab\r\n");
    terminal.type("exit 0\r");
    await leaves(0);
  });

  it("takes a paste of 100 KB whole, and shows output without a stop", async () => {
    await openPrompt();
    const paste = Buffer.from("a line, as of a file; 0123456789\n".repeat(3200).slice(0, 100 * 1024));
    terminal.type(`stty -icanon -echo; echo go; head -c ${paste.length} | sha256sum; stty sane\r`);
    await terminal.until("\ngo\r\n");
    terminal.type(paste);
    await terminal.until(createHash("sha256").update(paste).digest("hex"));
    await terminal.until(PROMPT);
    const from = terminal.shown().length;
    await ask("seq 1 50000", "1\r\n2\r\n");
    const lines = terminal.shown().slice(from).split("\r\n");
    expect(lines.filter((line) => /^\d+$/.test(line)).map(Number)).toEqual(
      Array.from({ length: 50_000 }, (_, index) => index + 1),
    );
    terminal.type("exit 0\r");
    await leaves(0);
  });

  it("has a command in it, of which a line feed is no more than that", async () => {
    open("--", "sh", "-c", "stty -opost; printf 'one\\ntwo'; exit 9");
    await terminal.until("one\ntwo");
    await leaves(9);
  });
});

describe("leaving a terminal", () => {
  const ways: readonly (readonly [what: string, args: string[], leave: () => unknown, status: number])[] = [
    ["the guest's exit", [], () => terminal.type("exit 7\r"), 7],
    ["Control-D", [], () => terminal.type("\u0004"), 0],
    ["Control-]", [], () => terminal.type(CONTROL_BRACKET), 130],
    ["~. at the start of a line", [], () => terminal.type("true\r~."), 130],
    ["a full-screen program that is left", [], () => terminal.type("vi\r\u001d"), 130],
    ["SIGTERM", [], () => process.kill(terminal.pid(), "SIGTERM"), 143],
    ["SIGHUP", [], () => process.kill(terminal.pid(), "SIGHUP"), 129],
    ["the end of its time", ["--timeout", "8s", "--", "sh", "-i"], () => {}, 124],
    ["QEMU's death", [], () => process.kill(pidOfQemu(), "SIGKILL"), 125],
    ["the connection's end", [], () => terminal.type("kill -9 $(cut -d' ' -f4 /proc/$PPID/stat)\r"), 125],
  ];
  it.each(ways)("by %s leaves it as it was", async (_what, args, leave, status) => {
    open(...args);
    await terminal.until("# ");
    leave();
    await leaves(status);
  });

  it("of which the other end is closed ends smolvm and its machine", async () => {
    await openPrompt();
    const pid = terminal.pid();
    terminal.script.kill("SIGKILL");
    await eventually(() => !isAlive(pid), "smolvm has ended");
  });

  it("sends ~~ as one tilde, and keeps a tilde elsewhere", async () => {
    await openPrompt();
    terminal.type("~~");
    await terminal.until("~");
    terminal.type("/../bin/echo tilde ~.\r");
    await terminal.until("\ntilde ~.\r\n");
    terminal.type("exit 0\r");
    await leaves(0);
  });
});

describe("a terminal of the user's that is not the guest's", () => {
  it("passes lines on with -i, and Control-D as their end", async () => {
    terminal = openHostTerminal(["run", "-i", "--image", "tiny", "--", "echo go; cat; tty"]);
    await terminal.until("go\r\n");
    terminal.type("typed\r");
    await terminal.until("typed\r\ntyped\r\n");
    terminal.type("\u0004");
    await terminal.until("not a tty\r\n");
    await leaves(1);
  });

  it("shows a terminal with -t alone, and Control-C ends it", async () => {
    terminal = openHostTerminal(["run", "-t", "--image", "tiny", "--", "tty; stty size; sleep 600"]);
    await terminal.until("/dev/pts/0\r");
    await terminal.until("30 100\r");
    terminal.type(CONTROL_C);
    await leaves(130);
  });
});

describe("a login shell of Debian", () => {
  it("is bash, and puts the screen back when it is left amid an editor", async () => {
    terminal = openHostTerminal(["run", "-it"]);
    await terminal.until(PROMPT);
    terminal.type("shopt -q login_shell && echo $0 $SHLVL\r");
    await terminal.until("/bin/bash 1\r\n");
    await terminal.until(PROMPT);
    terminal.type("printf '\\033[?1049h\\033[?25l'; cat\r");
    await terminal.until("\u001b[?1049h\u001b[?25l");
    terminal.type(CONTROL_BRACKET);
    await leaves(130);
    expect(terminal.shown()).toMatch(/\[\?1049l.*\[\?25h/s);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
