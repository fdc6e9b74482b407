/** An SSH "string": its length as four bytes, then its bytes. */
function sshString(value: string | Uint8Array): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function sshUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const ED25519 = "ssh-ed25519";

/** The public half as it stands in authorized_keys, known_hosts and on the wire. */
export function encodeEd25519PublicBlob(publicKey: Uint8Array): Buffer {
  return Buffer.concat([sshString(ED25519), sshString(publicKey)]);
}

/** Dropbear's own private key file: the name of the type, then seed and public half as one string. */
export function encodeDropbearEd25519(seed: Uint8Array, publicKey: Uint8Array): Buffer {
  return Buffer.concat([sshString(ED25519), sshString(Buffer.concat([seed, publicKey]))]);
}

/** An unencrypted OpenSSH private key file (PROTOCOL.key), which `ssh -i` and ssh2 both read. */
export function encodeOpenSshEd25519(
  seed: Uint8Array,
  publicKey: Uint8Array,
  comment: string,
  check: number,
): string {
  const publicBlob = encodeEd25519PublicBlob(publicKey);
  const secret = Buffer.concat([
    sshUint32(check),
    sshUint32(check),
    publicBlob,
    sshString(Buffer.concat([seed, publicKey])),
    sshString(comment),
  ]);
  const body = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    sshString("none"),
    sshString("none"),
    sshString(""),
    sshUint32(1),
    sshString(publicBlob),
    sshString(Buffer.concat([secret, padding(secret.length)])),
  ]);
  const lines = body.toString("base64").match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join(
    "\n",
  );
}

/** 1, 2, 3 … up to a multiple of 8, as the format wants it. */
function padding(length: number): Buffer {
  return Buffer.from(Array.from({ length: (8 - (length % 8)) % 8 }, (_, index) => index + 1));
}
