import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findOwned } from "../../src/host/owned-processes.ts";
import { machinePaths, statePaths } from "../../src/state/paths.ts";
import { CLI, runCli, startCli } from "../setup/cli-process.ts";
import { openHostTerminal } from "../support/host-terminal.ts";

const PREFIX = `cli-${process.pid}`;
const TINY = ["--image", "tiny", "--memory", "256"];
const called = (what: string) => `${PREFIX}-${what}`;
const web = called("web");

/** What a command printed; it must have gone well. */
async function smolvm(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runCli(args);
  expect({ args, status, stderr }).toEqual({ args, status: 0, stderr: "" });
  return stdout;
}

async function json(...args: string[]) {
  return JSON.parse((await runCli([...args, "--json"])).stdout);
}

async function statusOf(name: string): Promise<string> {
  return (await json("inspect", name)).machines[0].status;
}

beforeAll(async () => {
  for (const name of ["tiny", "debian"]) await smolvm("image", "build", name);
  expect(await smolvm("create", web, ...TINY, "--label", "test=cli")).toBe(`${web}\n`);
});
afterAll(async () => {
  const left = (await smolvm("ls", "-aq", "--filter", `name=${PREFIX}-*`)).split("\n").filter(Boolean);
  if (left.length > 0) await smolvm("rm", "-f", ...left);
  await runCli(["snapshot", "rm", called("saved")]);
});

describe("a machine that was created", () => {
  it("goes on when smolvm has ended, and is listed by any other", async () => {
    const { machines } = await json("ls", "--filter", `name=${web}`);
    expect(machines).toMatchObject([
      { name: web, status: "running", persistent: true, image: "tiny", labels: { test: "cli" } },
    ]);
    const { pid, memoryBytes, uptimeSeconds, diskBytes } = machines[0];
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toContain(web);
    expect(memoryBytes).toBeGreaterThan(2 ** 20);
    expect(uptimeSeconds).toBeGreaterThanOrEqual(0);
    expect(diskBytes).toBeGreaterThanOrEqual(0);
    expect(await smolvm("ls", "--filter", "label=test=cli")).toMatch(
      new RegExp(`^${web} +running +tiny +256 MiB +1 +\\S.* persistent$`, "m"),
    );
  });

  it("keeps its name from another one", async () => {
    const { status, stdout } = await runCli(["create", web, ...TINY, "--json"]);
    expect(status).toBe(125);
    expect(JSON.parse(stdout).error.code).toBe("VM_ALREADY_EXISTS");
    expect(await smolvm("exec", web, "echo untouched")).toBe("untouched\n");
  });

  it("is suggested to somebody who mistypes it", async () => {
    const { status, stderr } = await runCli(["exec", web.replace("web", "wbe"), "--", "true"]);
    expect(status).toBe(125);
    expect(stderr).toContain(web);
  });
});

describe("smolvm exec", () => {
  it("passes streams, standard input and the exit status through", async () => {
    const ended = await runCli(["exec", web, "--", "cat; echo err >&2; exit 7"], "in\n");
    expect(ended).toMatchObject({ status: 7, stdout: "in\n", stderr: "err\n" });
    expect(await smolvm("exec", web, "--", "printf", "%s|", "a b", "$HOME", "*", "")).toBe("a b|$HOME|*||");
  });

  it("leaves the input of a loop alone with -n, so that each round has its line", async () => {
    const loop = `printf 'a\nb\nc\n' | while read x; do "$0" "$1" exec -n "$2" -- echo $x; done`;
    const { stdout, stderr } = await promisify(execFile)("/bin/sh", ["-c", loop, process.execPath, CLI, web]);
    expect({ stdout, stderr }).toEqual({ stdout: "a\nb\nc\n", stderr: "" });
  });

  it.each([
    ["stderr", "1 2 3", 7],
    ["stderr", "$(seq 20000)", 7],
    ["stdout", "$(seq 20000)", 141],
  ] as const)("whose %s nobody reads (%s lines) ends with status %s", async (name, lines, status) => {
    const to = name === "stderr" ? ">&2" : "";
    const { child, ended } = startCli(["exec", web, `for i in ${lines}; do echo $i ${to}; done; exit 7`]);
    child[name]?.destroy();
    expect(await ended).toMatchObject({ status, signal: null, [name]: "" });
  });

  it("keeps what commands leave in the machine, but neither variables nor folders of the call", async () => {
    await smolvm("exec", "-e", "A=1", "--cwd", "/tmp", web, 'echo "$A $PWD" >kept');
    expect(await smolvm("exec", web, 'cat /tmp/kept; echo "<$A> $PWD"')).toBe("1 /tmp\n<> /root\n");
  });

  it("--timeout ends the command (124), Ctrl-C too (130), and the machine goes on", async () => {
    expect((await runCli(["exec", "--timeout", "2", web, "sleep 601"])).status).toBe(124);
    const { child, untilPrinted, ended } = startCli(["exec", web, "--", "echo up; sleep 602"]);
    await untilPrinted("up");
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ status: 130, stderr: "" });
    expect(await smolvm("exec", web, "ps | grep -c '[s]leep 60' || true")).toBe("0\n");
  });

  it.each([
    ["exec -it", ["exec", "-it", web], "exit 5\r", 5],
    ["shell", ["shell", web], "exit 6\r", 6],
    ["shell, left by Ctrl-]", ["shell", web], "\u001d", 130],
    ["shell, left by ~.", ["shell", web], "\r~.", 130],
  ])("%s has the user's terminal, and the machine outlives it", async (_what, args, leave, status) => {
    const terminal = openHostTerminal(args);
    try {
      await terminal.until("~# ");
      terminal.type("tty; stty size\r");
      await terminal.until("/dev/pts/");
      await terminal.until("30 100\r\n");
      await terminal.until("~# ");
      terminal.type(leave);
      const ended = await terminal.ended();
      expect(ended.status).toBe(status);
      expect(ended.after).toBe(ended.before);
    } finally {
      terminal.close();
    }
    expect(await statusOf(web)).toBe("running");
  });
});

it("env sets, lists and unsets what login shells see", async () => {
  expect(await smolvm("env", "set", web, "CI=1", "GREETING=it's me")).toBe("CI\nGREETING\n");
  expect(await smolvm("env", web)).toBe("CI=1\nGREETING='it'\\''s me'\n");
  expect(await smolvm("exec", web, 'echo "$CI $GREETING"')).toBe("1 it's me\n");
  expect(await smolvm("env", "get", web, "GREETING")).toBe("it's me\n");
  expect(await runCli(["env", "unset", web, "CI", "NOPE"])).toMatchObject({
    ...{ status: 0, stdout: "CI\n" },
    stderr: `smolvm: NOPE was not set in ${web}.\n`,
  });
  expect((await json("env", web)).env).toEqual({ GREETING: "it's me" });
});

it("logs -f shows what the console says from now on, until Ctrl-C", async () => {
  await smolvm("exec", web, "echo before >/dev/console");
  const { child, untilPrinted, ended } = startCli(["logs", "-f", "--tail", "5", web]);
  await untilPrinted("before");
  await smolvm("exec", web, "echo marker >/dev/console");
  await untilPrinted("marker");
  child.kill("SIGINT");
  expect(await ended).toMatchObject({ status: 130, stderr: "" });
  expect((await json("logs", "--tail", "5", web)).lines).toContainEqual(expect.stringContaining("marker"));
});

it("pause lets it stand still, and who wants it to do something is told of resume", async () => {
  expect(await smolvm("pause", web)).toBe(`${web}\n`);
  expect(await smolvm("ls", "-q", "--filter", "status=paused", "--filter", `name=${web}`)).toBe(`${web}\n`);
  const { status, stderr } = await runCli(["exec", web, "true"]);
  expect(status).toBe(125);
  expect(stderr).toContain(`smolvm resume ${web}`);
  await smolvm("resume", web);
  expect(await smolvm("exec", web, "echo again")).toBe("again\n");
});

describe("copies", () => {
  it("of a snapshot go on where it was taken, and stay", async () => {
    const [saved, restored] = [called("saved"), called("restored")];
    await smolvm("exec", web, "echo saved >/tmp/moment; (sleep 6000 &)");
    expect(await smolvm("snapshot", web, saved)).toBe(`${saved}\n`);
    await smolvm("exec", web, "echo later >/tmp/moment");
    expect(await smolvm("snapshot", "ls", "-q")).toContain(saved);
    expect(await smolvm("restore", saved, "--name", restored, "--label", "copy=1")).toBe(`${restored}\n`);
    expect(await smolvm("exec", restored, "cat /tmp/moment; ps | grep -c '[s]leep 6000'")).toBe("saved\n1\n");
    expect(await smolvm("ls", "-q", "--filter", "label=copy=1")).toBe(`${restored}\n`);
    expect(await smolvm("snapshot", "rm", saved)).toBe(`${saved}\n`);
    expect(await smolvm("exec", restored, "hostname")).toBe(`${restored}\n`);
    await smolvm("rm", "-f", restored);
  });

  it("by fork are as many as wanted, running, named in turn", async () => {
    const names = [1, 2].map((number) => called(`fork-${number}`));
    expect(await smolvm("fork", web, "--count", "2", "--name", called("fork"))).toBe(`${names.join("\n")}\n`);
    for (const name of names) expect(await smolvm("exec", name, "hostname")).toBe(`${name}\n`);
    expect(await smolvm("rm", "-f", ...names)).toBe(`${names.join("\n")}\n`);
  });
});

describe("a Debian machine", () => {
  const debian = called("debian");
  let folder: string;
  let config: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "smolvm-ssh-"));
    config = join(folder, "config");
    await smolvm("create", debian);
    writeFileSync(config, await smolvm("ssh-config"));
  });
  afterAll(async () => {
    await smolvm("rm", "-f", debian);
    rmSync(folder, { recursive: true, force: true });
  });

  const inShell = (program: string, ...args: string[]) =>
    promisify(execFile)(program, ["-F", config, "-o", "BatchMode=yes", ...args]);

  it("is reached by plain ssh and scp by its name, and nothing is asked", async () => {
    const { stdout, stderr } = await inShell("ssh", debian, "hostname");
    expect({ stdout, stderr }).toEqual({ stdout: `${debian}\n`, stderr: "" });
    writeFileSync(join(folder, "sent"), "by scp\n");
    await inShell("scp", join(folder, "sent"), `${debian}:/root/kept`);
    await inShell("scp", `${debian}:/root/kept`, join(folder, "back"));
    expect(readFileSync(join(folder, "back"), "utf8")).toBe("by scp\n");
  });

  it("keeps its disk when it is stopped and started, and is found by the same name", async () => {
    expect(await smolvm("stop", debian)).toBe(`${debian}\n`);
    expect(await smolvm("ls", "-q", "--filter", `name=${debian}`)).toBe("");
    expect(await smolvm("ls", "-aq", "--filter", `name=${debian}`)).toBe(`${debian}\n`);
    const { status, stderr } = await runCli(["exec", debian, "true"]);
    expect(status).toBe(125);
    expect(stderr).toContain(`smolvm start ${debian}`);
    expect(await smolvm("start", debian)).toBe(`${debian}\n`);
    expect(await smolvm("exec", debian, "cat /root/kept")).toBe("by scp\n");
    expect((await inShell("ssh", debian, "cat", "/root/kept")).stdout).toBe("by scp\n");
  });
});

describe("the end", () => {
  it("of a machine that runs takes -f, and leaves nothing", async () => {
    const { status, stderr } = await runCli(["rm", web]);
    expect(status).toBe(125);
    expect(stderr).toContain(`smolvm rm -f ${web}`);
    const { pid } = (await json("inspect", web)).machines[0];
    expect(await smolvm("rm", "-f", web)).toBe(`${web}\n`);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(existsSync(machinePaths(statePaths(), web).folder)).toBe(false);
    expect((await runCli(["inspect", web])).status).toBe(125);
  });

  it("of what a smolvm left behind that was killed with all that would clean up is prune", async () => {
    const name = called("orphan");
    const { folder } = machinePaths(statePaths(), name);
    const { child, untilPrinted, ended } = startCli([
      "run",
      ...TINY,
      "--name",
      name,
      "--",
      "echo up; sleep 600",
    ]);
    await untilPrinted("up");
    const cleaners = (await findOwned(statePaths().machines)).filter((each) => each.folder === folder);
    expect(cleaners.length).toBeGreaterThan(2); // QEMU, the guardian and its reader
    child.kill("SIGSTOP");
    for (const { pid } of cleaners) process.kill(pid, "SIGKILL");
    child.kill("SIGKILL");
    await ended;
    const before = await json("prune", "--dry-run");
    expect(before.items.map((item: { name: string }) => item.name)).toContain(name);
    expect(existsSync(folder)).toBe(true);
    const { items } = await json("prune");
    expect(items).toContainEqual(expect.objectContaining({ name, removed: true }));
    expect(existsSync(folder)).toBe(false);
    expect(await smolvm("ls", "-aq", "--filter", `name=${name}`)).toBe("");
  });
});
