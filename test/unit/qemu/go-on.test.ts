import { describe, expect, it } from "vitest";
import { letGoOn } from "../../../src/qemu/go-on.ts";
import { connected } from "../../support/qmp-peer.ts";

describe("a migration that is being cancelled", () => {
  it("is asked about less and less often, as long as it takes, and cancelled once", async () => {
    const endMs = performance.now() + 500;
    const heard: string[] = [];
    const [qmp] = await connected(({ execute, id }, peer) => {
      heard.push(execute);
      const migration = performance.now() < endMs ? "cancelling" : "cancelled";
      const status = execute === "query-migrate" ? migration : "running";
      peer.say({ return: { status }, id });
    });
    await letGoOn(qmp, () => true);
    const { length } = heard.filter((each) => each === "query-migrate");
    expect(length).toBeGreaterThan(1);
    expect(length).toBeLessThan(12);
    expect(heard.filter((each) => each !== "query-migrate")).toEqual(["migrate_cancel", "query-status"]);
    qmp.close();
  });
});
