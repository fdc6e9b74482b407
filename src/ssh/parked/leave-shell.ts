import { formatLeaveRequest } from "../protocol/guest-scripts.ts";
import { introduce, newToken } from "../protocol/token.ts";
import { languageOf } from "../protocol/waiting-code.ts";
import { type SerialPorts, serialChannel } from "../transport/serial-channel.ts";
import { type Link, newLinkName } from "../worker/link.ts";
import { Worker } from "../worker/worker.ts";
import { LEFT_SLOT, type LeftShell } from "./parked-shell.ts";

/** Those whose start is known so well that what they note as they start can be renewed. */
const KNOWN_SHELLS = ["bash", "dash", "sh"];

/** Of the worker's stdin and stdout, and of its stderr. */
export type PortNames = readonly [main: string, errors: string];

/** A worker that was left, and this end of it. */
interface Left {
  readonly shell: LeftShell;
  readonly worker: Worker;
  /** Its login shell has read its profile; false where that has ended instead. */
  readonly waits: Promise<boolean>;
}

/** Leaves a worker, with a login shell that waits, at the serial ports of a machine that is to be saved. Null where that can't be. */
export async function leaveShell(
  link: Link,
  ports: SerialPorts,
  portNames: PortNames,
): Promise<LeftShell | null> {
  return (await leaveWorker(link, ports, portNames))?.shell ?? null;
}

/** The same, where it is let go again. */
export async function leaveWorker(
  link: Link,
  ports: SerialPorts,
  portNames: PortNames,
): Promise<Left | null> {
  const { isRoot, cgroups, loginShell } = await (await link.keeper()).facts;
  if (!isRoot || !cgroups || !KNOWN_SHELLS.includes(loginShell)) return null;
  const token = newToken();
  const name = newLinkName();
  const [cgroup, notes] = name;
  const worker = new Worker(serialChannel(ports, ""), token, LEFT_SLOT);
  const channel = await link.connection.exec(
    formatLeaveRequest(portNames, [
      `${cgroup}/workers`,
      `${cgroup}/${LEFT_SLOT}`,
      `${notes}.${LEFT_SLOT}`,
      link.connection.account,
    ]),
    null,
  );
  introduce(worker.channel, token);
  const isReady = await Promise.race([worker.ready, channel.closed.then(() => null)]);
  if (isReady === null) return null;
  const language = languageOf(loginShell) ?? "posix";
  // The kernel's choice where memory runs out is not worth a write as its command begins.
  const waits = worker.prepare({ kind: "login", language, epoch: 0 }, false);
  return { shell: { token, pid: worker.pid, name, loginShell }, worker, waits };
}
