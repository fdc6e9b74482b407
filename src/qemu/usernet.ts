import { createServer } from "node:net";
import * as v from "valibot";
import { NetworkError, PortInUseError } from "../errors.ts";
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
  const line = /^\s*TCP\[HOST_FORWARD\]\s+-?\d+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)\s/gm;
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
  const line = /^\s*TCP\[(?:ESTABLISHED|CLOSE_WAIT|FIN_WAIT_[12])\]\s+-?\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)\s/gm;
  return [...text.matchAll(line)].filter(([, from, to]) => forwarded.has(`${from} ${to}`)).length;
}

/** Adds a forward; with host port 0 a free one is taken. Throws PortInUseError, NetworkError. */
export async function addForward(qmp: QmpClient, wanted: Forward): Promise<Forward> {
  const before = wanted.hostPort === 0 ? await listForwards(qmp) : [];
  const { hostAddress, hostPort, guestPort } = wanted;
  const answer = await ask(qmp, `hostfwd_add ${NETWORK_ID} tcp:${hostAddress}:${hostPort}-:${guestPort}`);
  if (answer.trim() !== "") throw await explainRefusal(wanted, answer.trim());
  if (hostPort !== 0) return wanted;
  const added = (await listForwards(qmp)).find(
    (forward) => forward.guestPort === guestPort && !holds(before, forward),
  );
  return (
    added ??
    Promise.reject(
      new NetworkError(`QEMU does not tell which port it took for the guest's port ${guestPort}.`),
    )
  );
}

/** Removes a forward; one that is not there is fine. Connections that were made through it live on. */
export async function removeForward(qmp: QmpClient, { hostAddress, hostPort }: Forward): Promise<void> {
  const answer = await ask(qmp, `hostfwd_remove ${NETWORK_ID} tcp:${hostAddress}:${hostPort}`);
  if (/ (removed|not found)\s*$/.test(answer)) return;
  throw new NetworkError(`QEMU did not remove the forward from ${hostAddress}:${hostPort}: ${answer.trim()}`);
}

async function ask(qmp: QmpClient, line: string): Promise<string> {
  return v.parse(v.string(), await qmp.execute("human-monitor-command", { "command-line": line }));
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
      remediation: "Choose another hostPort, or leave it out to get a free one.",
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
