import { ALIVE, findSelf } from "../../host/process-identity.ts";
import { bytesIn, describeRecord, observe, type VMInfo } from "../machine/info.ts";
import type { Machine } from "../machine/machine.ts";
import { recordOf } from "../machine/record-keeper.ts";

const ANSWER_MS = 2_000;

/** How a machine that this process holds stands at this moment, its QEMU asked for a sign of life. */
export async function describeOwn(machine: Machine): Promise<VMInfo> {
  const { booted, folder } = machine;
  // A first start holds nothing that others could see until it has its folder.
  const record = { ...(await recordOf(machine)), owner: await findSelf() };
  const [seen, diskBytes] = await Promise.all([observe(record, ALIVE), folder ? bytesIn(folder.folder) : 0]);
  const where = { folder: folder?.folder ?? null, diskBytes };
  const isUp = seen.status === "running" || seen.status === "paused";
  if (!isUp || !booted || (await booted.qemu.answers(ANSWER_MS)) || machine.booted !== booted)
    return describeRecord(record, seen, where);
  return describeRecord(record, { ...seen, status: "error", reason: "its QEMU does not answer" }, where);
}
