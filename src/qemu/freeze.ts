import * as v from "valibot";
import { diskNode } from "./arguments.ts";
import type { QmpClient } from "./qmp/client.ts";
import { QmpError } from "./qmp/error.ts";

/** An empty overlay for the guest's first disk, which QEMU has been asked to open. */
export interface OfferedLayer {
  /** QEMU has opened it. Nothing is written to it until the disk is frozen. */
  readonly opened: Promise<void>;
  /** From now on the guest writes there, and what it has written so far never changes. However late QEMU answers. */
  freeze(): Promise<void>;
  /**
   * What has become of it, once QEMU answers: "in use" where the guest writes to it, "free" where QEMU has closed it, or has never
   * opened it, so that its file may go. QmpError where QEMU ends: then nobody knows, and an empty layer does no harm.
   */
  settle(): Promise<"in use" | "free">;
}

/** The device of that disk; the other half of its name is in arguments.ts. */
const FIRST_DISK = "/disk0-device/";
const BlocksSchema = v.array(
  v.object({
    qdev: v.optional(v.string(), ""),
    inserted: v.optional(v.object({ "node-name": v.optional(v.string()) })),
  }),
);

let offered = 0;

/** Opening takes longest, so it is done while the guest runs. */
export function offerLayer(
  qmp: QmpClient,
  overlay: { readonly path: string; readonly durable: boolean },
): OfferedLayer {
  offered += 1;
  const name = `layer${offered}`;
  const disk = { ...overlay, format: "qcow2", readOnly: false, backing: null } as const;
  const opening = qmp.send("blockdev-add", diskNode(disk, name));
  let freezing: Promise<unknown> | null = null;
  const opened = opening.then(() => {});
  opened.catch(() => {});
  return {
    opened,
    async freeze() {
      await opening;
      const node = await findTop(qmp);
      freezing = qmp.send("blockdev-snapshot", { node, overlay: name });
      await freezing;
    },
    async settle() {
      if (!(await isDone(opening))) return "free";
      if (freezing && (await isDone(freezing))) return "in use";
      // QEMU closes nothing that is in use.
      return (await isDone(qmp.send("blockdev-del", { "node-name": name }))) ? "free" : "in use";
    },
  };
}

/** The node that the guest writes to, as QEMU knows it. */
async function findTop(qmp: QmpClient): Promise<string> {
  const blocks = v.parse(BlocksSchema, await qmp.send("query-block"));
  const top = blocks.find(({ qdev }) => qdev.includes(FIRST_DISK))?.inserted?.["node-name"];
  if (top === undefined)
    throw new QmpError("command", "QEMU does not tell where the guest's disk is written to.");
  return top;
}

/** False where QEMU has refused it. */
async function isDone(answer: Promise<unknown>): Promise<boolean> {
  try {
    await answer;
    return true;
  } catch (error) {
    if (error instanceof QmpError && error.phase === "command") return false;
    throw error;
  }
}
