import { generateKeyPairSync, randomBytes, randomInt } from "node:crypto";
import { chmod, link, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { HostError } from "../../errors.ts";
import { makeFolders } from "../../host/make-folders.ts";
import { NoFileError } from "../../host/no-file.ts";
import { MOST_LINES_BYTES, readText } from "../../host/read-file.ts";
import { codeOf, syncFolder, unlessMissing, writeWhole } from "../../host/whole-file.ts";
import { quoteWord } from "../../util/quote.ts";
import { whyUnusable } from "../transport/ssh-connection.ts";
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

/** The key at that path, which the caller has; null: the client's own. HostError. */
export function obtainClientKey(state: ClientKeyPaths, path: string | null): Promise<ClientKey> {
  return path === null ? ensureClientKey(state) : readClientKey(path);
}

/** A key that the caller already has; its public half is read from `<path>.pub`. HostError where nobody could log in with it. */
export async function readClientKey(path: string): Promise<ClientKey> {
  const key = await readHalves(path);
  const problem = await whyUnusable(key.privateKey);
  if (problem !== null) throw unusable(path, problem);
  if (!isPair(key)) {
    throw new HostError(`The SSH key ${path} and its public half ${path}.pub don't belong together.`, {
      remediation: `ssh-keygen -y -f ${quoteWord(path)} > ${quoteWord(`${path}.pub`)}`,
    });
  }
  return key;
}

/** Nobody is there who could be asked for a passphrase, and an agent is not asked. */
function unusable(path: string, problem: "passphrase" | "format"): HostError {
  const message =
    problem === "passphrase"
      ? `The SSH key ${path} has a passphrase, for which smolvm can't ask.`
      : `The file ${path} holds no SSH private key that smolvm can read.`;
  return new HostError(message, {
    remediation: `Leave sshKeyPath out: then a key is made for machines. Or make one without a passphrase: ssh-keygen -t ed25519 -N "" -f ${quoteWord(`${path}-smolvm`)}`,
  });
}

async function readHalves(path: string): Promise<ClientKey> {
  try {
    const [privateKey, publicLine] = await Promise.all([
      readText(path, MOST_LINES_BYTES),
      readText(`${path}.pub`, MOST_LINES_BYTES),
    ]);
    return { path, privateKey, publicLine: publicLine.trim() };
  } catch (cause) {
    throw new HostError(
      `The SSH key ${path} and its public half ${path}.pub can't be read: ${(cause as Error).message}.`,
      { cause, remediation: remedyFor(path, cause) },
    );
  }
}

/** To make a key is no help where there is one that can't be read; nor is a folder called "~", which no shell has seen. */
function remedyFor(path: string, cause: unknown): string | undefined {
  if (cause instanceof NoFileError) return cause.remediation;
  if (path.includes("/~")) return "Give the whole path: only a shell knows what ~ stands for.";
  const { code, path: which } = cause as NodeJS.ErrnoException;
  if (code !== "ENOENT")
    return `Let this user read both: ls -l ${quoteWord(path)} ${quoteWord(`${path}.pub`)}`;
  if (which === path) return `ssh-keygen -t ed25519 -N "" -f ${quoteWord(path)}`;
  return `ssh-keygen -y -f ${quoteWord(path)} > ${quoteWord(`${path}.pub`)}`;
}

/** Whether guests that let the public half in will let in who has the private one. True also where a key's form doesn't tell. */
function isPair({ path, privateKey, publicLine }: ClientKey): boolean {
  let blob: Buffer;
  try {
    blob = publicBlobOf(privateKey, path);
  } catch {
    return true;
  }
  return publicLine.split(/\s+/)[1] === blob.toString("base64");
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
  const privateKey = await readText(state.clientKey, MOST_LINES_BYTES).catch((error) => {
    if (error instanceof NoFileError) throw damaged(state.clientKey, error);
    return unlessMissing(error);
  });
  if (privateKey === undefined) return null;
  const publicLine = (
    await readText(state.clientKeyPublic, MOST_LINES_BYTES).catch(unlessMissingOrNoFile)
  )?.trim();
  const key = publicLine !== undefined && { path: state.clientKey, privateKey, publicLine };
  // Somebody may have put another key in its place and left the old public half, which would lock us out.
  return key && isPair(key) ? key : await restorePublicHalf(state, privateKey);
}

/** What is missing, or is no file, is made again. */
function unlessMissingOrNoFile(error: unknown): undefined {
  return error instanceof NoFileError ? undefined : unlessMissing(error);
}

/** The private file appears by a hard link, which fails where another process was first: then its key counts. */
async function makePair(state: ClientKeyPaths): Promise<ClientKey> {
  await makeFolders(dirname(state.clientKey));
  await chmod(dirname(state.clientKey), 0o700);
  const { seed, publicKey } = generateEd25519();
  const privateKey = encodeOpenSshEd25519(seed, publicKey, "smolvm", randomInt(2 ** 32));
  const temporary = `${state.clientKey}.${randomBytes(6).toString("hex")}`;
  try {
    await writeWhole(temporary, privateKey, { durable: true });
    await link(temporary, state.clientKey);
    await syncFolder(dirname(state.clientKey));
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
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
  await writeWhole(state.clientKeyPublic, `${publicLine}\n`, { mode: 0o644, durable: true });
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
    throw damaged(path, cause);
  }
}

function damaged(path: string, cause: unknown): HostError {
  const why = cause instanceof NoFileError ? `: it ${cause.problem}` : "";
  return new HostError(`The SSH key ${path} is damaged${why}.`, {
    cause,
    remediation: `rm -f ${quoteWord(path)} ${quoteWord(`${path}.pub`)}`,
  });
}

/** Node knows ed25519 keys as JWK: `d` is the seed, `x` the public half. */
function generateEd25519(): { seed: Buffer; publicKey: Buffer } {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  if (jwk.d === undefined || jwk.x === undefined) throw new HostError("Node made no ed25519 key.");
  return { seed: Buffer.from(jwk.d, "base64url"), publicKey: Buffer.from(jwk.x, "base64url") };
}
