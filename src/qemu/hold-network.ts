import { NETWORK_ID } from "./arguments.ts";
import type { QmpClient } from "./qmp/client.ts";

const FILTER_ID = "hold0";
/** The longest that QEMU knows, more than an hour: it lets everything through each time that so much has passed. */
const INTERVAL_US = 2 ** 32 - 1;

/** QEMU keeps all packets, both ways, until the returned function is called. The guest sees no device for it. */
export async function holdNetwork(qmp: QmpClient): Promise<() => Promise<void>> {
  await qmp.execute("object-add", {
    "qom-type": "filter-buffer",
    id: FILTER_ID,
    netdev: NETWORK_ID,
    interval: INTERVAL_US,
  });
  return async () => {
    await qmp.execute("object-del", { id: FILTER_ID });
  };
}
