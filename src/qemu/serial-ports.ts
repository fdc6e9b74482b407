import type { Socket } from "node:net";
import * as v from "valibot";
import type { QmpClient } from "./qmp/client.ts";

/** What the guest finds in the `name` files of /sys/class/virtio-ports: of a shell one port for input and output, one for errors. */
export const SHELL_PORT_NAMES = ["smolvm.main", "smolvm.errors"] as const;
/** All of them, by number from 1 on. At the last one src/guest/init-live.sh waits to hear who the machine is. */
export const SERIAL_PORT_NAMES = [...SHELL_PORT_NAMES, "smolvm.identity"] as const;

/** QEMU's id of the port at that place. */
export function serialPortId(index: number): string {
  return `port${index}`;
}

/** The host's side of the two serial ports of a machine that can be saved. */
export interface SerialPorts {
  readonly main: Socket;
  readonly errors: Socket;
  /** Resolves when a port that was open in the guest is so no more, or QEMU is gone. */
  readonly closed: Promise<void>;
  /** Resolves when all of them are: another shell may come to them. */
  readonly free: Promise<void>;
}

/** QEMU tells it of devices that have an id. */
const PortChangeSchema = v.object({ id: v.string(), open: v.boolean() });
const SHELL_PORT_IDS = SHELL_PORT_NAMES.map((_, index) => serialPortId(index));

export function serialPorts(
  sockets: readonly [Socket, Socket],
  qmp: QmpClient,
  exited: Promise<unknown>,
): SerialPorts {
  const [main, errors] = sockets;
  const closing = SHELL_PORT_IDS.map(
    (id) =>
      new Promise<void>((resolve) => {
        qmp.onEvent(({ name, data }) => {
          if (name === "VSERPORT_CHANGE" && v.is(PortChangeSchema, data) && data.id === id && !data.open)
            resolve();
        });
        void exited.then(() => resolve());
      }),
  );
  const free = Promise.all(closing).then(() => undefined);
  return { main, errors, closed: Promise.race(closing), free };
}
