import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { REPOSITORY } from "../../setup/sources.ts";

const GUEST = join(REPOSITORY, "src/guest");

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-scripts-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("the scripts that run in a guest", () => {
  const scripts = readdirSync(GUEST, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".sh") || name.startsWith("build/"),
  );

  it.each(scripts)("%s is a shell script without a mistake in its form", (name) => {
    const { status, stderr } = spawnSync("sh", ["-n", join(GUEST, name)], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});

describe("OpenSSH's server", () => {
  it("gets the machine's own host key, turned into OpenSSH's form", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const secret = Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url");
    const open = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
    writeFileSync(
      join(folder, "host_key_ed25519"),
      Buffer.concat([text("ssh-ed25519"), text(Buffer.concat([secret, open]))]),
    );
    const script = readFileSync(join(GUEST, "init-sshd.sh"), "utf8").replace(/^(mkdir|exec) .*$/gm, "");
    const run = spawnSync("sh", ["-c", `smolvm=${folder} seed=${folder}\n${script}`], { encoding: "utf8" });
    expect(run.stderr).toBe("");
    const parsed = ssh2.utils.parseKey(readFileSync(join(folder, "ssh_host_ed25519_key")));
    expect(parsed).not.toBeInstanceOf(Error);
    if (parsed instanceof Error || Array.isArray(parsed)) return;
    expect(parsed.getPublicSSH()).toEqual(Buffer.concat([text("ssh-ed25519"), text(open)]));
    const message = Buffer.from("signed");
    expect(parsed.verify(message, parsed.sign(message))).toBe(true);
  });
});

/** SSH's "string": its length in four bytes before it. */
function text(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
