import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostError } from "../../../src/errors.ts";
import { ensureClientKey, generateHostKey, readClientKey } from "../../../src/ssh/openssh/keys.ts";

let folder: string;
let paths: { clientKey: string; clientKeyPublic: string };
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-keys-"));
  paths = { clientKey: join(folder, "keys", "id"), clientKeyPublic: join(folder, "keys", "id.pub") };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function parse(key: string): ssh2.ParsedKey {
  const parsed = ssh2.utils.parseKey(key);
  if (parsed instanceof Error) throw parsed;
  return parsed;
}

describe("the client's key", () => {
  it("is made at first use, for its owner alone, and is the same from then on", async () => {
    const first = await ensureClientKey(paths);
    const again = await ensureClientKey(paths);
    expect(again).toEqual(first);
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect([mode(join(folder, "keys")), mode(paths.clientKey), mode(paths.clientKeyPublic)]).toEqual([
      0o700, 0o600, 0o644,
    ]);
    expect(readdirSync(join(folder, "keys")).sort()).toEqual(["id", "id.pub"]);
  });

  it("is one that others read: its two halves belong together", async () => {
    const { privateKey, publicLine } = await ensureClientKey(paths);
    const parsed = parse(privateKey);
    expect(parsed.type).toBe("ssh-ed25519");
    expect(publicLine).toBe(`ssh-ed25519 ${parsed.getPublicSSH().toString("base64")} smolvm`);
    const message = Buffer.from("message");
    const signature = sign(null, message, createPrivateKey(parsed.getPrivatePEM()));
    expect(verify(null, message, createPublicKey(parsed.getPublicPEM()), signature)).toBe(true);
  });

  it("is one and the same for many at once", async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => ensureClientKey(paths)));
    expect(new Set(keys.map(({ privateKey }) => privateKey)).size).toBe(1);
    expect(new Set(keys.map(({ publicLine }) => publicLine)).size).toBe(1);
  });

  it("gets its public half back where that is lost", async () => {
    const { publicLine } = await ensureClientKey(paths);
    rmSync(paths.clientKeyPublic);
    expect((await ensureClientKey(paths)).publicLine).toBe(publicLine);
    expect(readFileSync(paths.clientKeyPublic, "utf8")).toBe(`${publicLine}\n`);
  });

  it.each(["", "not a key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"])(
    "is refused where its file holds %j, and the way out is named",
    async (text) => {
      await ensureClientKey(paths);
      rmSync(paths.clientKeyPublic);
      writeFileSync(paths.clientKey, text);
      const refused = ensureClientKey(paths);
      await expect(refused).rejects.toThrow(HostError);
      await expect(refused).rejects.toMatchObject({ remediation: expect.stringContaining("rm -f") });
    },
  );

  it("of the caller's own is read with its public half, or refused with the command that makes one", async () => {
    const { privateKey, publicLine } = await ensureClientKey(paths);
    expect(await readClientKey(paths.clientKey)).toEqual({ path: paths.clientKey, privateKey, publicLine });
    await expect(readClientKey(join(folder, "none"))).rejects.toMatchObject({
      code: "HOST",
      remediation: expect.stringContaining("ssh-keygen"),
    });
  });
});

describe("a key of the caller's own", () => {
  const locked = { passphrase: "secret", cipher: "aes256-cbc", rounds: 1 };
  const { private: withPassphrase, public: publicHalf } = ssh2.utils.generateKeyPairSync("ed25519", locked);
  const pem = { type: "pkcs8", format: "pem" } as const;
  const pkcs8 = String(generateKeyPairSync("ed25519").privateKey.export(pem));

  it.each([
    ["has a passphrase", withPassphrase, /has a passphrase/],
    ["is a public half", publicHalf, /no SSH private key/],
    ["is of a form that no SSH client here reads", pkcs8, /no SSH private key/],
    ["is no key", "not a key", /no SSH private key/],
  ])("that %s is refused with a way out", async (_, text, message) => {
    const path = join(folder, "my key");
    writeFileSync(path, text);
    writeFileSync(`${path}.pub`, publicHalf);
    const refused = readClientKey(path);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toMatchObject({
      code: "HOST",
      remediation: expect.stringContaining(`ssh-keygen -t ed25519 -N "" -f '${path}-smolvm'`),
    });
  });
});

describe("a machine's host key", () => {
  it("is a dropbear key file whose public half is the one to pin", () => {
    const { dropbear, publicBlob, publicLine } = generateHostKey();
    const type = Buffer.from("\0\0\0\u000bssh-ed25519\0\0\0@", "latin1");
    expect(dropbear.subarray(0, type.length)).toEqual(type);
    expect(dropbear.length).toBe(type.length + 64);
    expect(dropbear.subarray(-32)).toEqual(publicBlob.subarray(-32));
    expect(parse(publicLine).getPublicSSH()).toEqual(publicBlob);
  });

  it("is another one each time", () => {
    expect(generateHostKey().publicLine).not.toBe(generateHostKey().publicLine);
  });
});
