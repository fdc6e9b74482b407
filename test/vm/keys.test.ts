import { renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { ensureClientKey } from "../../src/ssh/openssh/keys.ts";
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

/** Another key pair at that path. */
async function putOther(path: string): Promise<void> {
  const other = join(home.state.home, "other");
  await ensureClientKey({ clientKey: other, clientKeyPublic: `${other}.pub` });
  renameSync(other, path);
  renameSync(`${other}.pub`, `${path}.pub`);
}

describe("a persistent machine under which the client's key is replaced", () => {
  it("says so to a program that connects, with what helps, and lets in the key that is there at its next start", async () => {
    const sshKeyPath = join(home.state.home, "mine");
    await putOther(sshKeyPath);
    await useLasting({ ...lasting(), template: "off", sshKeyPath }, async (vm) => {
      await vm.run("true", { check: true });
      await putOther(sshKeyPath);
      expect((await vm.run("echo on")).output).toBe("on"); // its connection stands
      const other = await SmolVM.get(vm.name);
      await expect(other.run("true")).rejects.toMatchObject({
        code: "COMMAND_EXECUTION_UNAVAILABLE",
        message: expect.stringContaining("refuses this user with this key"),
        remediation: expect.stringContaining("stop and start the machine"),
      });
      await other.stop();
      await putOther(sshKeyPath);
      await other.start();
      for (const each of [other, vm]) expect((await each.run("echo again")).output).toBe("again");
      await other[Symbol.asyncDispose]();
    });
  });
});
