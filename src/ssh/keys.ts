import { generateKeyPairSync, randomBytes, randomInt } from "node:crypto";
import { chmod, link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { HostError } from "../errors.ts";
import { encodeDropbearEd25519, encodeEd25519PublicBlob, encodeOpenSshEd25519 } from "./wire.ts";

/** The key with which this user logs in to machines. */
export interface ClientKey {
  readonly path: string;
  /** OpenSSH's format. */
  readonly privateKey: string;
  /** One line as in authorized_keys, without a line end. */
  readonly publicLine: string;
}

/** A machine's own key, made by the host so that it can be pinned. */
export interface HostKey {
  /** Dropbear's private key file. */
  readonly dropbear: Buffer;
  /** What the server shows at the handshake. */
  readonly publicBlob: Buffer;
  /** "ssh-ed25519 AAAA…", as in known_hosts after the host's name. */
  readonly publicLine: string;
}

/** Where the client's key lies. */
export interface ClientKeyPaths {
  readonly clientKey: string;
  readonly clientKeyPublic: string;
}

/** The client's key, made at first use; two processes at once get the same one. */
export async function ensureClientKey(state: ClientKeyPaths): Promise<ClientKey> {
  return (await readPair(state)) ?? (await makePair(state));
}

/** A key that the caller already has; its public half is read from `<path>.pub`. */
export async function readClientKey(path: string): Promise<ClientKey> {
  try {
    const [privateKey, publicLine] = await Promise.all([
      readFile(path, "utf8"),
      readFile(`${path}.pub`, "utf8"),
    ]);
    return { path, privateKey, publicLine: publicLine.trim() };
  } catch (cause) {
    throw new HostError(`The SSH key ${path} and its public half ${path}.pub can't be read.`, {
      cause,
      remediation: `ssh-keygen -t ed25519 -N "" -f ${path}`,
    });
  }
}

export function generateHostKey(): HostKey {
  const { seed, publicKey } = generateEd25519();
  const publicBlob = encodeEd25519PublicBlob(publicKey);
  return {
    dropbear: encodeDropbearEd25519(seed, publicKey),
    publicBlob,
    publicLine: `ssh-ed25519 ${publicBlob.toString("base64")}`,
  };
}

/** The same key again, from dropbear's private key file as base64: the public half comes last. */
export function decodeHostKey(dropbear: string): HostKey {
  const bytes = Buffer.from(dropbear, "base64");
  const publicBlob = encodeEd25519PublicBlob(bytes.subarray(-32));
  return { dropbear: bytes, publicBlob, publicLine: `ssh-ed25519 ${publicBlob.toString("base64")}` };
}

/** What clients must know of a server that shows this key: "ssh-ed25519 AAAA…". */
export function parseHostKey(publicLine: string): Pick<HostKey, "publicBlob" | "publicLine"> {
  return { publicLine, publicBlob: Buffer.from(publicLine.split(" ")[1] ?? "", "base64") };
}

async function readPair(state: ClientKeyPaths): Promise<ClientKey | null> {
  const privateKey = await readIfThere(state.clientKey);
  if (privateKey === null) return null;
  const publicLine = await readIfThere(state.clientKeyPublic);
  if (publicLine !== null) return { path: state.clientKey, privateKey, publicLine: publicLine.trim() };
  return await restorePublicHalf(state, privateKey);
}

/** The private file appears by a hard link, which fails where another process was first: then its key counts. */
async function makePair(state: ClientKeyPaths): Promise<ClientKey> {
  await mkdir(dirname(state.clientKey), { recursive: true, mode: 0o700 });
  await chmod(dirname(state.clientKey), 0o700);
  const { seed, publicKey } = generateEd25519();
  const privateKey = encodeOpenSshEd25519(seed, publicKey, "smolvm", randomInt(2 ** 32));
  const temporary = `${state.clientKey}.${process.pid}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(temporary, privateKey, { mode: 0o600, flag: "wx" });
    await link(temporary, state.clientKey);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  const pair = await readPair(state);
  if (pair === null) throw new HostError(`The SSH key ${state.clientKey} vanished while it was made.`);
  return pair;
}

/** The public half is derived from the private file, so that a crash between the two writes does no harm. */
async function restorePublicHalf(state: ClientKeyPaths, privateKey: string): Promise<ClientKey> {
  const publicLine = `ssh-ed25519 ${publicBlobOf(privateKey, state.clientKey).toString("base64")} smolvm`;
  const temporary = `${state.clientKeyPublic}.${process.pid}.${randomBytes(6).toString("hex")}`;
  await writeFile(temporary, `${publicLine}\n`, { mode: 0o644, flag: "wx" });
  await rename(temporary, state.clientKeyPublic);
  return { path: state.clientKey, privateKey, publicLine };
}

const MAGIC = "openssh-key-v1\0";

/** In an OpenSSH key file the public blob follows three strings and a count, and is never encrypted. */
function publicBlobOf(privateKey: string, path: string): Buffer {
  const body = Buffer.from(privateKey.replace(/-----[^-]+-----/g, "").replace(/\s/g, ""), "base64");
  try {
    if (body.toString("latin1", 0, MAGIC.length) !== MAGIC) throw new Error("not an OpenSSH private key");
    let at = MAGIC.length;
    for (let skipped = 0; skipped < 3; skipped++) at += 4 + body.readUInt32BE(at);
    const length = body.readUInt32BE(at + 4);
    const blob = body.subarray(at + 8, at + 8 + length);
    if (length === 0 || blob.length !== length) throw new Error("its public half is cut off");
    return blob;
  } catch (cause) {
    throw new HostError(`The SSH key ${path} is damaged.`, {
      cause,
      remediation: `rm -f ${path} ${path}.pub`,
    });
  }
}

/** Node knows ed25519 keys as JWK: `d` is the seed, `x` the public half. */
function generateEd25519(): { seed: Buffer; publicKey: Buffer } {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  if (jwk.d === undefined || jwk.x === undefined) throw new HostError("Node made no ed25519 key.");
  return { seed: Buffer.from(jwk.d, "base64url"), publicKey: Buffer.from(jwk.x, "base64url") };
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
