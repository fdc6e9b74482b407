import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { copyPlainMachine } from "../../bench/rivals/plain-qemu.ts";
import { SmolVM } from "../../src/index.ts";
import { statePaths } from "../../src/state/paths.ts";
import { pidOf } from "../support/machines.ts";

it("the bench boots plain QEMU with the arguments of a machine of ours that is gone, its disk included, and OpenSSH connects to it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "smolvm-plain-"));
  try {
    const plain = await SmolVM.use({ template: "off" }, async (vm) =>
      copyPlainMachine(await pidOf(vm), folder, statePaths().clientKey),
    );
    const { readyMs, handshakeMs } = await plain.boot();
    expect(readyMs).toBeGreaterThan(0);
    expect(handshakeMs).toBeGreaterThan(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
