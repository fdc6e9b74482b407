import { describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { formatKnownHosts, formatSshCommands } from "../../../src/ssh/openssh/command-lines.ts";
import { quoteWord } from "../../../src/util/quote.ts";

const address = { port: 2222, user: "root", keyPath: "/home/a/keys/id", knownHosts: "/home/a/vms/x/hosts" };
const options =
  "-F none -o IdentityFile=/home/a/keys/id -o UserKnownHostsFile=/home/a/vms/x/hosts -o IdentitiesOnly=yes -o IdentityAgent=none " +
  "-o PreferredAuthentications=publickey -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null";

describe("the command lines for ordinary SSH tools", () => {
  it("name the port, the key and the pinned host key", () => {
    expect(formatSshCommands(address)).toEqual({
      ssh: `ssh -p 2222 ${options} root@127.0.0.1`,
      scpToGuest: `scp -P 2222 ${options} SOURCE root@127.0.0.1:DESTINATION`,
      scpFromGuest: `scp -P 2222 ${options} root@127.0.0.1:SOURCE DESTINATION`,
      sftp: `sftp -P 2222 ${options} root@127.0.0.1`,
      rsyncToGuest: `rsync -a -e 'ssh -p 2222 ${options}' SOURCE root@127.0.0.1:DESTINATION`,
    });
  });

  it("take another user and another key", () => {
    const { ssh } = formatSshCommands(address, { sshUser: "agent", keyPath: "/k" });
    expect(ssh).toContain("-o IdentityFile=/k ");
    expect(ssh).toContain(" agent@127.0.0.1");
  });

  it.each(["Bob", "a.b", "_apt"])("take every user that the guest's server lets in: %s", (sshUser) => {
    expect(formatSshCommands(address, { sshUser }).ssh).toContain(` ${sshUser}@127.0.0.1`);
  });

  it("quote paths for the shell, and for ssh's own reading of the option", () => {
    const { ssh } = formatSshCommands({ ...address, keyPath: "/my keys/it's", knownHosts: "/my vms/100%" });
    expect(ssh).toContain(`-o 'IdentityFile="/my keys/it'\\''s"' `);
    expect(ssh).toContain(`'UserKnownHostsFile="/my vms/100%%"'`);
  });

  it.each([
    { sshUser: "a b" },
    { sshUser: ".a" },
    { sshUser: "a".repeat(33) },
    { sshUser: "-oProxyCommand=x" },
    { keyPath: "" },
    { keyPath: 1 },
    { user: "root" },
  ])("refuse %j", (given) => {
    expect(() => formatSshCommands(address, given as object)).toThrow(ValidationError);
  });

  it("know the host by port", () => {
    expect(formatKnownHosts(2222, "ssh-ed25519 AAAA")).toBe("[127.0.0.1]:2222 ssh-ed25519 AAAA\n");
  });
});

describe("a quoted word", () => {
  it.each([
    ["plain", "plain"],
    ["", "''"],
    ["a b", "'a b'"],
    ["it's", "'it'\\''s'"],
    ["$HOME", "'$HOME'"],
    ["~", "'~'"],
  ])("%j becomes %s", (word, quoted) => {
    expect(quoteWord(word)).toBe(quoted);
  });
});
