import { diskNode } from "./arguments.ts";
import type { QmpClient } from "./qmp/client.ts";

/** An overlay that is open and waits to take over a disk. */
export interface DiskFreezer {
  /** From now on the guest writes there, and what it has written so far never changes. Gives the new node's name. */
  freeze(): Promise<string>;
  /** It is not wanted after all: QEMU closes it. Fine where it has taken over. */
  discard(): Promise<void>;
}

let opened = 0;

/** Opening takes longest, so it is done while the guest runs. */
export async function prepareFreeze(
  qmp: QmpClient,
  top: string,
  overlay: { readonly path: string; readonly durable: boolean },
): Promise<DiskFreezer> {
  opened += 1;
  const name = `layer${opened}`;
  let isInUse = false;
  const disk = { ...overlay, format: "qcow2", readOnly: false, backing: null } as const;
  await qmp.execute("blockdev-add", diskNode(disk, name));
  return {
    async freeze() {
      await qmp.execute("blockdev-snapshot", { node: top, overlay: name });
      isInUse = true;
      return name;
    },
    async discard() {
      if (!isInUse) await qmp.execute("blockdev-del", { "node-name": name });
    },
  };
}
