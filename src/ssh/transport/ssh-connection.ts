import { timingSafeEqual } from "node:crypto";
import { connect as connectSocket, type Socket } from "node:net";
import type { Algorithms, Client, PseudoTtyOptions } from "ssh2";
import type { Terminal } from "../spec/terminal.ts";
import { Allowance } from "./allowance.ts";
import { ChannelRefusedError, ConnectionLostError, type SshChannel } from "./channel.ts";
import type { SshTarget } from "./ssh-target.ts";
import { type ChannelOwner, wrapChannel } from "./ssh2-channel.ts";

/** One authenticated connection, on which many channels fit. */
export interface SshConnection {
  /** Starts `command` by the user's shell. ChannelRefusedError, ConnectionLostError: nothing was run. */
  exec(command: string, terminal: Terminal | null): Promise<SshChannel>;
  /** Resolves with the reason when the connection is gone, from either side. */
  readonly lost: Promise<string>;
  /** The user of the guest whose commands it is for. */
  readonly account: string;
  readonly isOpen: boolean;
  /** Why this side gave it up, a clause for an error's message; null where it did not. */
  readonly whyAbandoned: string | null;
  /** How much has come from the server so far. */
  readonly bytesRead: number;
  /** Resolves when the server has answered, in whatever way. */
  ping(): Promise<void>;
  /** From now on this process does not live on for it. */
  letProcessEnd(): void;
  close(): void;
  /** Ends it without telling the server, who is not listening. */
  abandon(reason: string): void;
}

/** No connection could be made. Trying again makes sense where the server just wasn't there yet. */
export class ConnectError extends Error {
  readonly isFinal: boolean;
  /** What helps. */
  readonly remediation: string;

  constructor(
    message: string,
    isFinal: boolean,
    cause?: unknown,
    remediation = "Check that the machine runs an SSH server: smolvm doctor",
  ) {
    super(message, { cause });
    this.isFinal = isFinal;
    this.remediation = remediation;
  }
}

/** Loads ssh2, which takes some 40 ms: worth doing while a machine boots. */
export async function preloadSsh(): Promise<void> {
  await import("ssh2");
}

/** What keeps a private key from being used; null where nothing does. */
export async function whyUnusable(privateKey: string): Promise<"passphrase" | "format" | null> {
  const { utils } = (await import("ssh2")).default;
  const parsed = utils.parseKey(privateKey);
  if (parsed instanceof Error) return /passphrase/i.test(parsed.message) ? "passphrase" : "format";
  return parsed.isPrivateKey() ? null : "format";
}

/** Connects and authenticates. Aborting `signal` gives up. ConnectError. */
export async function openConnection(target: SshTarget, signal: AbortSignal): Promise<SshConnection> {
  const { Client } = (await import("ssh2")).default;
  const socket = await openSocket(target, signal);
  const client = new Client();
  // Without it each small packet waits for the acknowledgement of the one before: 90 ms instead of 9.
  socket.setNoDelay(true);
  const giveUp = () => socket.destroy();
  signal.addEventListener("abort", giveUp, { once: true });
  const allowance = new Allowance();
  try {
    await authenticate(client, socket, target, allowance);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
  return connectionOf(client, socket, target.user, allowance);
}

function openSocket({ host, port }: SshTarget, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new ConnectError("given up", true));
    const socket = connectSocket({ host, port });
    const giveUp = () => socket.destroy(new Error("given up"));
    signal.addEventListener("abort", giveUp, { once: true });
    socket.once("connect", () => {
      signal.removeEventListener("abort", giveUp);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (error) => {
      signal.removeEventListener("abort", giveUp);
      reject(new ConnectError(`port ${port} of ${host}: ${error.message}`, false, error));
    });
  });
}

/** By this name the host comes in, as root of the guest's own root in memory: see ACCOUNTS of src/image/initramfs.ts. No user is called so. */
const OWN_ACCOUNT = "@smolvm";

/** Long enough for a guest that has the CPU to itself again in a while; the caller's own deadline is shorter anyway. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

function authenticate(
  client: Client,
  socket: Socket,
  target: SshTarget,
  allowance: Allowance,
): Promise<void> {
  let isImpostor = false;
  return new Promise((resolve, reject) => {
    client.once("ready", resolve);
    client.on("error", (error) => reject(describeFailure(error, isImpostor)));
    client.once("close", () =>
      reject(new ConnectError("the server closed the connection before the login", false)),
    );
    client.connect({
      sock: socket,
      username: OWN_ACCOUNT,
      privateKey: target.privateKey,
      authHandler: ["publickey"],
      algorithms: target.emulated ? EMULATED_ALGORITHMS : HARDWARE_ALGORITHMS,
      readyTimeout: HANDSHAKE_TIMEOUT_MS,
      hostVerifier: (shown: Buffer) => {
        isImpostor = !isSame(shown, target.hostKey);
        return !isImpostor;
      },
    });
    // After `connect`, which has paused it: what comes is not to be read before ssh2 does.
    socket.on("data", () => {
      if (allowance.isExceededBy(socket.bytesRead)) socket.destroy(new Error(OVERRUN));
    });
  });
}

const OVERRUN = "the guest's SSH server sent more than it was allowed to";

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function describeFailure(error: Error & { level?: string }, isImpostor: boolean): ConnectError {
  if (isImpostor)
    return new ConnectError("the server shows another host key than the one pinned", true, error);
  if (error.level === "client-authentication") {
    const remediation =
      "A machine lets in the key that it was last started with: put that one back, or stop and start the machine.";
    return new ConnectError("the server refuses this user with this key", true, error, remediation);
  }
  return new ConnectError(`the SSH handshake failed: ${error.message}`, false, error);
}

const COMMON_ALGORITHMS: Algorithms = {
  kex: ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256"],
  serverHostKey: ["ssh-ed25519"],
  hmac: ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-256"],
  compress: ["none"],
};

/** An emulated CPU has no crypto instructions. */
const EMULATED_ALGORITHMS: Algorithms = {
  ...COMMON_ALGORITHMS,
  cipher: ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes128-ctr"],
};

/** dropbear has no GCM, and its AES doesn't use the instructions either. */
const HARDWARE_ALGORITHMS: Algorithms = {
  ...COMMON_ALGORITHMS,
  cipher: ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"],
};

function connectionOf(client: Client, socket: Socket, account: string, allowance: Allowance): SshConnection {
  let isOpen = true;
  let reason = "the server closed it";
  let whyAbandoned: string | null = null;
  client.on("error", (error) => {
    reason = error.message;
    if (reason === OVERRUN) whyAbandoned ??= reason;
  });
  const lost = new Promise<string>((resolve) => {
    client.once("close", () => {
      isOpen = false;
      resolve(reason);
    });
  });
  const isStanding = () => isOpen && !socket.destroyed;
  // A request that is refused is answered just as well. ssh2 throws when it is not connected.
  const ping = () => {
    allowance.grantAnswer();
    return new Promise<void>((resolve) => void client.unforwardIn("127.0.0.1", 1, () => resolve())).catch(
      () => {},
    );
  };
  const owner: ChannelOwner = {
    onOutput: (bytes) => allowance.grantOutput(bytes),
    onInput: (bytes) => allowance.grantAnswer(bytes),
    onOverrun: () => socket.destroy(new Error(OVERRUN)),
    ping,
  };
  return {
    lost,
    account,
    ping,
    get isOpen() {
      return isStanding();
    },
    get whyAbandoned() {
      return whyAbandoned;
    },
    get bytesRead() {
      return socket.bytesRead;
    },
    exec(command, terminal) {
      allowance.grantChannel();
      allowance.grantAnswer(command.length);
      return startProcess(client, { command, terminal }, owner, isStanding);
    },
    letProcessEnd: () => void socket.unref(),
    abandon(why) {
      isOpen = false;
      reason = whyAbandoned = why;
      socket.destroy();
    },
    close() {
      isOpen = false;
      reason = "closed by this side";
      client.end();
      setTimeout(() => socket.destroy(), 200).unref();
    },
  };
}

function startProcess(
  client: Client,
  { command, terminal }: { readonly command: string; readonly terminal: Terminal | null },
  owner: ChannelOwner,
  isOpen: () => boolean,
): Promise<SshChannel> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error) => {
      const Refusal = isOpen() ? ChannelRefusedError : ConnectionLostError;
      reject(new Refusal(error.message, { cause: error }));
    };
    try {
      client.exec(command, terminal ? { pty: describeTerminal(terminal) } : {}, (error, channel) => {
        if (error) refuse(error);
        else resolve(wrapChannel(channel, owner));
      });
    } catch (error) {
      refuse(error as Error); // ssh2 throws when it is not connected
    }
  });
}

/** Backspace is to erase a whole character: IUTF8 is mode 42 (RFC 8160), which ssh2 has no name for but passes on. */
const UTF8_ON = Buffer.from([42, 0, 0, 0, 1, 0]);

function describeTerminal({ columns, rows, term }: Terminal): PseudoTtyOptions {
  return { cols: columns, rows, term, modes: UTF8_ON as PseudoTtyOptions["modes"] & Buffer };
}
