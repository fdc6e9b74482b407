import type { Socket } from "node:net";
import * as v from "valibot";
import type { QmpClient } from "./qmp/client.ts";

/** What the guest finds in the `name` files of /sys/class/virtio-ports: one port for input and output, one for errors. */
export const SERIAL_PORT_NAMES = ["smolvm.main", "smolvm.errors"] as const;

/** The host's side of the two serial ports of a machine that can be saved. */
export interface SerialPorts {
  readonly main: Socket;
  readonly errors: Socket;
  /** Resolves when a port that was open in the guest is so no more, or QEMU is gone. */
  readonly closed: Promise<void>;
  /** Resolves when both are so: they can be opened again. */
  readonly free: Promise<void>;
}

/** QEMU tells it of devices that have an id. */
const PortChangeSchema = v.object({ open: v.boolean(), id: v.string() });

export function serialPorts(
  sockets: readonly [Socket, Socket],
  qmp: QmpClient,
  exited: Promise<unknown>,
): SerialPorts {
  const [main, errors] = sockets;
  const left = new Set<string>();
  let [onClosed, onFree] = [() => {}, () => {}];
  const closed = new Promise<void>((resolve) => {
    onClosed = resolve;
  });
  const free = new Promise<void>((resolve) => {
    onFree = resolve;
  });
  qmp.onEvent(({ name, data }) => {
    if (name !== "VSERPORT_CHANGE" || !v.is(PortChangeSchema, data) || data.open) return;
    onClosed();
    if (left.add(data.id).size === sockets.length) onFree();
  });
  void exited.then(() => {
    onClosed();
    onFree();
  });
  return { main, errors, closed, free };
}
