import { renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { ensureClientKey } from "../../src/ssh/keys.ts";
import { lasting, useLasting } from "../support/persistent.ts";
import { type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome();
});
afterAll(async () => {
  const left = home.machines();
  await home[Symbol.asyncDispose]();
  expect(left).toEqual([]);
});

const made = () => ({ ...lasting(), template: "off" }) as const;

/** Another key pair at that path, or its private half alone. */
async function putOther(path: string, halves: "both" | "private"): Promise<void> {
  const other = join(home.state.home, "other");
  await ensureClientKey({ clientKey: other, clientKeyPublic: `${other}.pub` });
  renameSync(other, path);
  if (halves === "both") renameSync(`${other}.pub`, `${path}.pub`);
}

describe("a persistent machine under which the client's key is replaced", () => {
  it("says so to whoever connects, with what helps, and lets the new one in from its next start on", async () => {
    const sshKeyPath = join(home.state.home, "mine");
    await putOther(sshKeyPath, "both");
    await useLasting({ ...made(), sshKeyPath }, async (vm) => {
      await vm.run("true", { check: true });
      await putOther(sshKeyPath, "both");
      expect((await vm.run("echo on")).output).toBe("on"); // its connection stands
      const other = await SmolVM.get(vm.name);
      await expect(other.run("true")).rejects.toMatchObject({
        code: "COMMAND_EXECUTION_UNAVAILABLE",
        message: expect.stringContaining("refuses this user with this key"),
        remediation: expect.stringContaining("stop and start the machine"),
      });
      await expect(other.fork()).rejects.toMatchObject({
        code: "SNAPSHOT_UNUSABLE",
        remediation: expect.stringContaining(`Put that key back: ${sshKeyPath}`),
      });
      await other.stop();
      await other.start();
      for (const each of [other, vm]) expect((await each.run("echo again")).output).toBe("again");
      await other[Symbol.asyncDispose]();
    });
  });

  it("works as before where that is the library's own, replaced while it was stopped, by its private half alone", () =>
    useLasting(made(), async (vm) => {
      await vm.stop();
      await putOther(home.state.clientKey, "private");
      await vm.start();
      expect((await vm.run("echo again")).output).toBe("again");
      const other = await SmolVM.get(vm.name);
      expect((await other.run("echo here too")).output).toBe("here too");
      await other[Symbol.asyncDispose]();
    }));
});
