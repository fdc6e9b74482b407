import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { sshConfigInclude } from "../../../src/sandbox/command/ssh-config.ts";
import { formatSshCommands, formatSshConfig } from "../../../src/ssh/openssh/command-lines.ts";

const run = promisify(execFile);
const ODD_NAMES = [
  "plain",
  "two words",
  "it's",
  'a"b',
  "100% %h %%",
  "back\\slash\\\\",
  "$HOME $x",
  "~x",
  "é#=,",
];

/** An ed25519 key; the path before it is printed in the client's own way. */
const FOUND = /identity file .*\/key type 3/;

let folder: string;
/** Hangs up at once: by then a client has said which key it holds. */
const server = createServer((socket) => socket.destroy());
beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  folder = await mkdtemp(join(tmpdir(), "smolvm-openssh-"));
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

/** What OpenSSH has understood: its settings, as `ssh -G` prints them. */
function settingsOf(printed: string): Map<string, string> {
  const lines = printed.trim().split("\n");
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]));
}

/** A key of its own for each, in a folder of that name: whether OpenSSH finds it is what counts. */
async function keyIn(name: string) {
  const at = join(folder, name);
  await mkdir(at, { recursive: true });
  const keyPath = join(at, "key");
  const knownHosts = join(at, "known_hosts");
  await rm(keyPath, { force: true });
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", keyPath]);
  await writeFile(knownHosts, "");
  const { port } = server.address() as AddressInfo;
  return { at, address: { port, user: "root", keyPath, knownHosts } };
}

const GREEDY = `
Host *
  ForwardAgent yes
  ForwardX11 yes
  ForwardX11Trusted yes
  ControlMaster auto
  ControlPath /tmp/%C
  ProxyJump bastion
  PermitLocalCommand yes
  LocalCommand id
  IdentityAgent /tmp/agent
  AddKeysToAgent yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  UpdateHostKeys yes
  VerifyHostKeyDNS yes
  CanonicalizeHostname yes
  PasswordAuthentication yes
  KbdInteractiveAuthentication yes
  User somebody
`;

describe("OpenSSH's own programs", () => {
  it("are given nothing of the user's defaults by a machine's block", async () => {
    const { address } = await keyIn("defaults");
    const file = join(folder, "config");
    await writeFile(file, formatSshConfig("web", address) + GREEDY);
    const settings = settingsOf((await run("ssh", ["-G", "-F", file, "web"])).stdout);
    const expected = {
      ...{
        forwardagent: "no",
        forwardx11: "no",
        forwardx11trusted: "no",
        tunnel: "false",
        controlmaster: "false",
      },
      ...{ permitlocalcommand: "no", identityagent: "none", addkeystoagent: "false", identitiesonly: "yes" },
      ...{ stricthostkeychecking: "true", globalknownhostsfile: "/dev/null", updatehostkeys: "false" },
      ...{ verifyhostkeydns: "false", canonicalizehostname: "false", passwordauthentication: "no" },
      ...{
        kbdinteractiveauthentication: "no",
        preferredauthentications: "publickey",
        user: "root",
        port: `${address.port}`,
      },
    };
    expect(Object.fromEntries(settings)).toMatchObject(expected);
    expect([settings.get("proxyjump"), settings.get("proxycommand")]).toEqual([undefined, undefined]);
    expect([undefined, "none"]).toContain(settings.get("controlpath"));
    expect(settings.get("userknownhostsfile")).toBe(address.knownHosts);
  });

  it.each(ODD_NAMES)(
    "find the key and the host's key in a folder called %j, by block and by command",
    async (name) => {
      const { address, at } = await keyIn(name);
      const file = join(folder, "config");
      await writeFile(file, formatSshConfig("web", address));
      const byBlock = await run("ssh", ["-v", "-F", file, "-o", "LogLevel=DEBUG2", "web", "true"]).catch(
        (error) => error,
      );
      expect(byBlock.stderr).toMatch(FOUND);
      expect(byBlock.stderr).not.toMatch(/terminating|bad configuration|garbage|extra arguments/i);
      const { ssh, scpToGuest, sftp } = formatSshCommands(address);
      const byCommand = await run("sh", ["-c", ssh.replace("ssh ", "ssh -v ")]).catch((error) => error);
      expect(byCommand.stderr).toMatch(FOUND);
      expect(byCommand.stderr).not.toMatch(/terminating|bad configuration|garbage|extra arguments/i);
      for (const line of [scpToGuest.replace("SOURCE", "/dev/null"), sftp]) {
        const said = await run("sh", ["-c", line.replace(" ", " -v ")]).catch((error) => error);
        expect(said.stderr).toMatch(FOUND);
      }
      expect(at).toBe(join(folder, name));
    },
  );

  it("find each machine's block by the line for all of them, whatever the state folder is called", async () => {
    for (const name of [...ODD_NAMES, "[x]*?"]) {
      const home = join(folder, "homes", name);
      await mkdir(join(home, "vms", "web"), { recursive: true });
      const before = process.env.SMOLVM_HOME;
      process.env.SMOLVM_HOME = home;
      const line = sshConfigInclude();
      if (before === undefined) delete process.env.SMOLVM_HOME;
      else process.env.SMOLVM_HOME = before;
      const block = line.slice(line.lastIndexOf("/") + 1);
      await writeFile(join(home, "vms", "web", block), "Host web\n  Port 4711\n");
      await writeFile(join(folder, "all"), `${line}\n`);
      const settings = settingsOf((await run("ssh", ["-G", "-F", join(folder, "all"), "web"])).stdout);
      expect(settings.get("port"), name).toBe("4711");
    }
  });

  it("read no file of settings by a pasted line", () => {
    const address = { port: 1, user: "root", keyPath: "/k", knownHosts: "/h" };
    for (const line of Object.values(formatSshCommands(address))) expect(line).toContain("-F none");
  });

  it("rsync takes a quote in a path as it is: doubled within quotes", () => {
    const address = { port: 1, user: "root", keyPath: "/it's", knownHosts: "/h" };
    const { rsyncToGuest } = formatSshCommands(address);
    expect(rsyncToGuest).toContain(`'\\''IdentityFile="/it'\\'''\\''s"'\\''`);
  });

  it.each(["/a\nb/key", "/a$" + "{HOME}/key"])("can't be told the path %j, and that is said", (keyPath) => {
    const address = { port: 1, user: "root", keyPath, knownHosts: "/h" };
    expect(() => formatSshCommands(address)).toThrow(ValidationError);
    expect(() => formatSshConfig("web", address)).toThrow(/OpenSSH can't be given the path/);
  });
});
