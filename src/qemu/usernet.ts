import { createServer } from "node:net";
import * as v from "valibot";
import { NetworkError, OperationTimeoutError, PortInUseError } from "../errors.ts";
import { NETWORK_ID } from "./arguments.ts";
import type { QmpClient } from "./qmp/client.ts";
import { QmpError } from "./qmp/error.ts";

/** A port of the host that leads to a port of the guest. */
export interface Forward {
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

const SSH_GUEST_PORT = 22;
const ANSWER_MS = 30_000;

/** The host's port that leads to the guest's SSH server. */
export async function findSshPort(qmp: QmpClient): Promise<number> {
  const forwards = await listForwards(qmp);
  const ssh = forwards.find(({ guestPort }) => guestPort === SSH_GUEST_PORT);
  if (ssh === undefined)
    throw new QmpError("command", "QEMU does not tell the port that leads to the guest's SSH server.");
  return ssh.hostPort;
}

export async function listForwards(qmp: QmpClient): Promise<Forward[]> {
  return parseUsernet(await ask(qmp, "info usernet"));
}

/** The TCP forwards in what `info usernet` prints. */
export function parseUsernet(text: string): Forward[] {
  const line = /^[ \t]*TCP\[HOST_FORWARD\]\s+-?\d+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)\s/gm;
  return [...text.matchAll(line)].flatMap(([, hostAddress = "", hostPort, guestPort]) => {
    const forward = { hostAddress, hostPort: Number(hostPort), guestPort: Number(guestPort) };
    return isPort(forward.hostPort) && isPort(forward.guestPort) ? [forward] : [];
  });
}

/** The connections into the guest that stand: those through a forward, not those that the guest makes. */
export async function countConnections(qmp: QmpClient): Promise<number> {
  return parseConnections(await ask(qmp, "info usernet"));
}

/**
 * A connection that came through a forward goes between the same two ports as the forward itself; one that the guest made has
 * its own port first, and that may be any.
 */
export function parseConnections(text: string): number {
  const forwarded = new Set(parseUsernet(text).map(({ hostPort, guestPort }) => `${hostPort} ${guestPort}`));
  const line =
    /^[ \t]*TCP\[(?:ESTABLISHED|CLOSE_WAIT|FIN_WAIT_[12])\]\s+-?\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)\s/gm;
  return [...text.matchAll(line)].filter(([, from, to]) => forwarded.has(`${from} ${to}`)).length;
}

/** Those that are being added to a QEMU, one after the other: else of two with host port 0 each could take the other's for its own. */
const adding = new WeakMap<QmpClient, Promise<unknown>>();

/**
 * Adds a forward; with host port 0 a free one is taken. Throws PortInUseError, NetworkError; OperationTimeoutError where QEMU does not
 * answer: it is removed again as soon as QEMU does.
 */
export async function addForward(qmp: QmpClient, wanted: Forward, answerMs = ANSWER_MS): Promise<Forward> {
  const before = (adding.get(qmp) ?? Promise.resolve()).catch(() => {});
  const work = before.then(() => addOnce(qmp, wanted, answerMs));
  adding.set(qmp, work);
  return work;
}

async function addOnce(qmp: QmpClient, wanted: Forward, answerMs: number): Promise<Forward> {
  const before = await listForwards(qmp);
  const isNew = (forward: Forward) =>
    forward.guestPort === wanted.guestPort &&
    (wanted.hostPort === 0 || forward.hostPort === wanted.hostPort) &&
    !holds(before, forward);
  try {
    const { hostAddress, hostPort, guestPort } = wanted;
    const line = `hostfwd_add ${NETWORK_ID} tcp:${hostAddress}:${hostPort}-:${guestPort}`;
    const answer = await ask(qmp, line, answerMs);
    if (answer.trim() !== "") throw await explainRefusal(wanted, answer.trim());
    if (hostPort !== 0) return wanted;
    const added = (await listForwards(qmp)).find(isNew);
    if (added) return added;
  } catch (error) {
    if (error instanceof OperationTimeoutError) void removeLate(qmp, isNew).catch(() => {}); // QEMU has ended, and the forward with it
    throw error;
  }
  throw new NetworkError(`QEMU does not tell which port it took for the guest's port ${wanted.guestPort}.`);
}

/** What nobody knows of is not to stay: once QEMU answers, it has added it or not. */
async function removeLate(qmp: QmpClient, isNew: (forward: Forward) => boolean): Promise<void> {
  const text = v.parse(
    v.string(),
    await qmp.send("human-monitor-command", { "command-line": "info usernet" }),
  );
  for (const forward of parseUsernet(text).filter(isNew)) await removeForward(qmp, forward);
}

/** Removes a forward; one that is not there is fine. Connections that were made through it live on. */
export async function removeForward(qmp: QmpClient, { hostAddress, hostPort }: Forward): Promise<void> {
  const answer = await ask(qmp, `hostfwd_remove ${NETWORK_ID} tcp:${hostAddress}:${hostPort}`);
  if (/ (removed|not found)\s*$/.test(answer)) return;
  throw new NetworkError(`QEMU did not remove the forward from ${hostAddress}:${hostPort}: ${answer.trim()}`);
}

async function ask(qmp: QmpClient, line: string, timeoutMs = ANSWER_MS): Promise<string> {
  const answer = await qmp.execute("human-monitor-command", { "command-line": line }, { timeoutMs });
  return v.parse(v.string(), answer);
}

function holds(forwards: readonly Forward[], { hostAddress, hostPort }: Forward): boolean {
  return forwards.some((each) => each.hostPort === hostPort && each.hostAddress === hostAddress);
}

/** QEMU only says that it could not; trying the same tells why. */
async function explainRefusal({ hostAddress, hostPort }: Forward, answer: string): Promise<Error> {
  const code = await tryToListen(hostAddress, hostPort);
  const where = `${hostAddress}:${hostPort}`;
  if (code === "EADDRINUSE") {
    return new PortInUseError(`The port ${where} of this host is taken.`, {
      remediation: "Choose another host port, or leave it out to get a free one.",
      details: { hostAddress, hostPort },
    });
  }
  const why = code === undefined ? answer : `${code}: ${answer}`;
  return new NetworkError(`The port ${where} of this host can't be forwarded: ${why}`, {
    details: { hostAddress, hostPort },
  });
}

function tryToListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}
