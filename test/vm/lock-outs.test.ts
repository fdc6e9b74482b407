// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CommandExecutionUnavailableError, OperationTimeoutError, SmolVM } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { LOCK_OUTS } from "../support/lock-outs.ts";
import { TINY } from "../support/machines.ts";
import { openSsh, openSshTold } from "../support/open-ssh.ts";
import { elsewhere } from "../support/persistent.ts";

/** Where there is no program for it. */
const addByHand = (name: string) =>
  `echo ${name}:x:10${name.length}:100::/home/${name}:/bin/sh >>/etc/passwd && mkdir /home/${name} && chown ${name} /home/${name}`;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-locked-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The owner comes in by this handle, by a new connection of another program, and by ssh. `true` exits with that. */
async function expectOpen(vm: SmolVM, status = 0): Promise<void> {
  expect((await vm.run(["true"], { shell: "raw", timeout: 60 })).exitCode).toBe(status);
  const given = JSON.stringify([["true"], { shell: "raw", timeout: 60 }]);
  const body = `tell((await (await SmolVM.get(name)).run(...${given})).exitCode)`;
  expect(await elsewhere(vm.name, body)).toBe(status);
  expect(await openSsh(vm, "ssh", `root@${vm.name}`, "echo in")).toBe("in");
}

const SCRIPT = "echo in; echo too >&2; exit 3";
const ITS_RESULT = { exitCode: 3, stdout: "in\n", stderr: "too\n" };

/** A script in root's login shell, and another user's command: each has its own result, or is said to have none. */
async function expectScripts(vm: SmolVM, leavesNoUsers: boolean): Promise<void> {
  expect(await vm.run(SCRIPT, { timeout: 60 })).toMatchObject(ITS_RESULT);
  const others = vm.run(SCRIPT, { user: "nobody", timeout: 60 });
  if (leavesNoUsers) await expect(others).rejects.toThrow('no user "nobody"');
  else expect(await others).toMatchObject(ITS_RESULT);
}

describe.each([
  ["debian", {}],
  ["tiny", TINY],
] as const)("the owner of %s gets in", (image, options) => {
  it.each(LOCK_OUTS.filter(({ images }) => images.includes(image)))("where $title", async (damage) => {
    const { script, check, leavesNoUsers = false } = damage;
    await using vm = await SmolVM.create(options);
    await vm.run(script, { shell: "raw", timeout: 60 }).catch(() => {}); // some end their own connection
    const checked = await vm.run(check, { shell: "raw", timeout: 60 });
    expect([checked.exitCode, checked.stdout]).toEqual([0, expect.any(String)]);
    await expectOpen(vm);
    await expectScripts(vm, leavesNoUsers);
    await vm.stop();
    await vm.start();
    await expectOpen(vm);
    await expectScripts(vm, leavesNoUsers && image === "debian"); // "tiny" has no disk
  });

  it("where its shells are gone", async () => {
    await using vm = await SmolVM.create(options);
    const shells =
      image === "debian" ? "/usr/bin/bash /usr/bin/sh /usr/bin/dash" : "/usr/bin/sh /usr/bin/ash";
    await vm.run(`mkdir /away && mv ${shells} /away`, { shell: "raw", check: true });
    await expectOpen(vm);
    for (const [ask, why] of [
      [{}, /no login shell for it; the command never ran/],
      [{ pty: true }, /no login shell for it; the command never ran/],
      [{ user: "nobody" }, /no login shell for it; the command never ran/],
      [{ user: "nobody", shell: "raw" }, /no \/bin\/sh; the command never ran/],
    ] as const) {
      const refused = vm.run(SCRIPT, ask);
      await expect(refused).rejects.toThrow(CommandExecutionUnavailableError);
      await expect(refused).rejects.toThrow(why);
    }
    await vm.stop();
    await vm.start();
    await expectOpen(vm);
  });

  it("where nothing is left", async () => {
    await using vm = await SmolVM.create(options);
    await vm.run("rm -rf --no-preserve-root / || rm -rf /*", { shell: "raw", timeout: 60 }).catch(() => {});
    await expectOpen(vm, 127);
    expect(await openSsh(vm, "ssh", vm.name, "mkdir -p /new && ls -d /new")).toBe("/new");
    await vm.stop();
    await vm.start();
    await expectOpen(vm, image === "debian" ? 127 : 0); // "tiny" has no disk
  });
});

describe("a command that emptied /run", () => {
  it("is still told from one that was killed", async () => {
    await using vm = await SmolVM.create(TINY);
    await vm.run("rm -rf /run/* /tmp/*", { shell: "raw" });
    expect(await vm.run("kill -9 $$")).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    expect(await vm.run("exit 137")).toMatchObject({ exitCode: 137, signal: null });
    expect(await vm.run("kill -9 $$", { pty: true })).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
  });
});

describe("what a program of the guest finds", () => {
  it.each([
    ["debian", {}],
    ["tiny", TINY],
  ] as const)("in %s: its own root, a place for locks, and the usual limits", async (_image, options) => {
    await using vm = await SmolVM.create(options);
    const seen = await vm.run(
      "mkdir /var/lock/mine && ls -d /run/lock/mine; ulimit -Sn; ulimit -Hn; ls -d /image /smolvm",
    );
    expect(seen.stdout).toBe("/run/lock/mine\n1024\n1048576\n");
    const tmpfs = await vm.run(
      "df -k /run /dev/shm | awk 'NR > 1 { print $2 }'; awk '/MemTotal/ { print $2 }' /proc/meminfo",
    );
    const [run = 0, shm = 0, memory = 0] = tmpfs.output.split("\n").map(Number);
    expect(run + shm).toBeLessThan(0.6 * memory);
    expect((await vm.run(["ls", "-d", "/etc/passwd"], { shell: "raw" })).output).toBe("/etc/passwd");
    expect((await vm.run(["sh", "-c", "echo $0"], { shell: "raw" })).output).toBe("sh");
  });

  it("is the image's program of that name, where the way there leads over links, and not one of ours", async () => {
    await using vm = await SmolVM.create();
    await vm.run(
      "ln -s /opt/tools /tools; mkdir /opt/tools; printf '#!/bin/sh\necho mine $0\n' >/opt/tools/hello",
    );
    await vm.run("chmod 755 /opt/tools/hello; ln -s /opt/tools/hello /usr/local/bin/wget");
    expect((await vm.run(["wget"], { shell: "raw" })).output).toBe("mine /usr/local/bin/wget");
    const found = await vm.run(["hello"], { shell: "raw", env: { PATH: "/none:/tools" } });
    expect(found.output).toBe("mine /tools/hello");
    expect((await vm.run(["vi"], { shell: "raw" })).exitCode).toBe(127);
  });
});

describe("OpenSSH's own programs", () => {
  it.each([
    ["debian", {}, (name: string) => `useradd -m -s /bin/sh ${name}`],
    ["tiny", TINY, addByHand],
  ] as const)("find every user of %s as its passwd has it now", async (_image, options, add) => {
    await using vm = await SmolVM.create(options);
    await vm.run(add("first"), { check: true });
    const facts = 'echo "$(id -un) $PWD $HOME $USER $LOGNAME $SHELL ${SSH_CONNECTION%% *} $(umask)"';
    const of = (user: string, home: string, shell: string) =>
      `${user} ${home} ${home} ${user} ${user} ${shell} 10.0.2.2 0022`;
    expect(await openSsh(vm, "ssh", `first@${vm.name}`, facts)).toBe(of("first", "/home/first", "/bin/sh"));
    const added = await openSsh(vm, "ssh", vm.name, `${add("second")} && echo added`);
    expect(added).toContain("added");
    expect(await openSsh(vm, "ssh", `second@${vm.name}`, facts)).toBe(
      of("second", "/home/second", "/bin/sh"),
    );
    const roots = await openSsh(vm, "ssh", vm.name, facts);
    expect(roots).toMatch(/^root \/root \/root root root \/bin\/(ba)?sh 10\.0\.2\.2 0022$/);
    const seen = await openSsh(vm, "ssh", vm.name, "exit 7").catch(({ code }) => code);
    expect(seen).toBe(7);
    await expect(openSsh(vm, "ssh", `nobody-of-this-name@${vm.name}`, "true")).rejects.toMatchObject({
      code: 255,
    });

    const file = join(folder, "sent");
    writeFileSync(file, "content");
    await openSsh(vm, "scp", "-q", file, `first@${vm.name}:by-scp`);
    writeFileSync(join(folder, "batch"), `put ${file} by-sftp\npwd\n`);
    expect(await openSsh(vm, "sftp", "-b", join(folder, "batch"), vm.name)).toContain("directory: /root");
    expect((await vm.run("stat -c '%U %n' /home/first/by-scp /root/by-sftp")).output).toBe(
      "first /home/first/by-scp\nroot /root/by-sftp",
    );
    await openSsh(vm, "scp", "-q", `${vm.name}:by-sftp`, join(folder, "back"));
    expect(readFileSync(join(folder, "back"), "utf8")).toBe("content");
    expect(
      await openSsh(vm, "ssh", "-tt", `first@${vm.name}`, "test -O $(tty) && echo <$(tty) owned"),
    ).toContain("owned");
  });
});

describe.each([
  ["debian", {}, (name: string) => `useradd -m -s /bin/sh ${name}`],
  ["tiny", TINY, addByHand],
] as const)("a user of %s", (_image, options, add) => {
  it("whose shell is missing gets no other one by ssh", async () => {
    await using vm = await SmolVM.create(options);
    await vm.run(`${add("alice")} && sed -i '/^alice:/s,:[^:]*$,:/opt/none,' /etc/passwd`, { check: true });
    const alice = `alice@${vm.name}`;
    const refused = {
      stdout: expect.not.stringMatching(/^\d+$/m), // a login shows /etc/motd
      stderr: expect.stringContaining("/opt/none"),
    };
    await expect(openSsh(vm, "ssh", alice, "id -u")).rejects.toMatchObject(refused);
    await expect(openSshTold(vm, "id -u\n", "ssh", alice)).rejects.toMatchObject(refused);
  });

  it("whose shell is missing or can't be executed has no login command but where it is root, and each raw one", async () => {
    await using vm = await SmolVM.create(options);
    await vm.run(`${add("alice")}; mkdir -p /opt; touch /opt/file`, { check: true });
    for (const shell of ["/opt/none", "/opt/file", "/opt"]) {
      await vm.run(`sed -i '/^alice:/s,:[^:]*$,:${shell},' /etc/passwd`, { check: true });
      for (const more of [{}, { pty: true }, { cwd: "/", env: { A: "1" }, stdin: "x" }]) {
        const refused = vm.run(SCRIPT, { user: "alice", ...more });
        await expect(refused).rejects.toThrow(CommandExecutionUnavailableError);
        await expect(refused).rejects.toThrow(/no login shell for it; the command never ran/);
      }
      for (const command of [SCRIPT, ["sh", "-c", SCRIPT]])
        expect(await vm.run(command, { user: "alice", shell: "raw" })).toMatchObject(ITS_RESULT);
    }
    // Root's login shell is /bin/sh where its own is not to be had, from the next command on.
    const shell = (await vm.run("readlink -f /proc/$$/exe")).output;
    await vm.run(`[ ! -x /bin/bash ] || mv ${shell} ${shell}.away`, { check: true });
    for (let n = 0; n < 3; n++) expect(await vm.run(SCRIPT)).toMatchObject(ITS_RESULT);
    await vm.run(`[ ! -e ${shell}.away ] || mv ${shell}.away ${shell}`, { check: true });
    for (const shell of ["/opt/none", "/opt/file"]) {
      await vm.run(`sed -i '/^root:/s,:[^:]*$,:${shell},' /etc/passwd`, { shell: "raw", check: true });
      for (const more of [{}, { user: "root" }, { shell: "raw" }, { user: "root", shell: "raw" }] as const)
        expect(await vm.run(SCRIPT, more)).toMatchObject(ITS_RESULT);
      expect((await vm.run("echo $0", { pty: true })).output).toMatch(/sh$/);
    }
  });

  it("is told from others by the whole of the name, also on a last line without an end", async () => {
    await using vm = await SmolVM.create(options);
    await vm.run(`${add("axb")} && printf last:x:4711:4712::/:/bin/sh >>/etc/passwd`, { check: true });
    await expect(vm.run("id", { user: "a.b" })).rejects.toThrow('no user "a.b"');
    expect((await vm.run("id -un", { user: "axb" })).output).toBe("axb");
    expect((await vm.run("id -u; id -g", { user: "last" })).output).toBe("4711\n4712");
    expect(await openSsh(vm, "ssh", `last@${vm.name}`, "id -u")).toBe("4711");
    await vm.run("mv /etc/passwd /etc/kept && mkfifo /etc/passwd", { shell: "raw", check: true });
    await expect(vm.run("id", { shell: "raw", user: "axb", timeout: 30 })).rejects.toThrow('no user "axb"');
  });
});

describe("what a guest does by itself", () => {
  it("keeps the user's own lines of /etc/hosts in a copy of the machine", async () => {
    await using vm = await SmolVM.create(TINY);
    await vm.run("printf '127.0.1.10 ten\n127.0.1.1\told\n127.0.1.100 hundred\n' >>/etc/hosts", {
      check: true,
    });
    await using copy = (await vm.fork())[0] as SmolVM;
    const { output } = await copy.run("grep ^127.0.1.1 /etc/hosts");
    expect(output).toBe(`127.0.1.10 ten\n127.0.1.100 hundred\n127.0.1.1 ${copy.name}`);
  });

  it("takes no processor where its /etc/passwd can't be watched, and finds new users all the same", async () => {
    await using vm = await SmolVM.create(TINY);
    const script = `echo 0 >/proc/sys/fs/inotify/max_user_instances; ${addByHand("late")}; sleep 1
      forks() { sed -n 's/^processes //p' /proc/stat; }
      before=$(forks); sleep 3; echo $(($(forks) - before))`;
    expect(Number((await vm.run(script)).output)).toBeLessThan(40);
    const entry = () => openSsh(vm, "ssh", `late@${vm.name}`, "id -un").catch(() => "");
    await eventually(async () => (await entry()) === "late", "the new user gets in", 60_000);
  });

  it("takes a command that ends as the SFTP server's name does for what it is", async () => {
    await using vm = await SmolVM.create(TINY);
    expect(await openSsh(vm, "ssh", vm.name, "echo /opt/sftp-server")).toBe("/opt/sftp-server");
  });
});

describe("a machine with another sshUser", () => {
  it("runs its commands as that user, who can't become another", async () => {
    await using vm = await SmolVM.create({ ...TINY, sshUser: "nobody" });
    const raw = { shell: "raw" } as const;
    expect((await vm.run("id -un; echo $HOME $USER", raw)).output).toBe("nobody\n/nonexistent nobody");
    expect((await vm.run(["id", "-un"], raw)).output).toBe("nobody");
    expect((await vm.run("id -un; tty", { ...raw, pty: true })).output).toBe("nobody\r\n/dev/pts/0");
    expect((await vm.run("id -un", { ...raw, user: "nobody" })).output).toBe("nobody");
    await expect(vm.run("true", { ...raw, user: "root" })).rejects.toThrow(/only root can/);
    await expect(vm.run("true", { ...raw, user: "root", pty: true })).rejects.toThrow(/only root can/);
    await expect(vm.setEnvVars({ A: "1" })).rejects.toMatchObject({ code: "ENVIRONMENT" });
    await expect(vm.run("setsid sleep 4711 & sleep 4711", { ...raw, timeout: 1 })).rejects.toThrow(
      OperationTimeoutError,
    );
    expect((await vm.run("ps -o args | grep -c '^sleep 4711'", raw)).output).toBe("0");
  });

  it("has one of any name that the guest's server lets in", async () => {
    await using vm = await SmolVM.create({ ...TINY, sshUser: "A.b" });
    await openSsh(vm, "ssh", `root@${vm.name}`, addByHand("A.b"));
    expect((await vm.run("id -un")).output).toBe("A.b");
    expect((await vm.run("id -un; [ -O $(tty) ] && echo owned", { pty: true })).output).toBe("A.b\r\nowned");
    const { output } = await vm.run("id -un", { shell: "raw" });
    expect(output).toBe(await openSsh(vm, "ssh", vm.name, "id -un"));
  });

  it("runs none where the guest has no such user, and says so", async () => {
    await using vm = await SmolVM.create({ ...TINY, sshUser: "stranger" });
    const refused = vm.run("true");
    await expect(refused).rejects.toThrow(CommandExecutionUnavailableError);
    await expect(refused).rejects.toMatchObject({ remediation: expect.stringMatching(/without sshUser/) });
    await expect(vm.run(["true"], { shell: "raw" })).rejects.toThrow(/no such user/);
    await expect(vm.run("true", { pty: true })).rejects.toThrow(/no such user/);
  });
});
