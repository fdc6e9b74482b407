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
}

/** QEMU tells it of devices that have an id. */
const PortChangeSchema = v.object({ open: v.boolean() });

export function serialPorts(
  sockets: readonly [Socket, Socket],
  qmp: QmpClient,
  exited: Promise<unknown>,
): SerialPorts {
  const [main, errors] = sockets;
  const closed = new Promise<void>((resolve) => {
    qmp.onEvent(({ name, data }) => {
      if (name === "VSERPORT_CHANGE" && v.is(PortChangeSchema, data) && !data.open) resolve();
    });
    void exited.then(() => resolve());
  });
  return { main, errors, closed };
}
