import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { PROTOCOL } from "../../src/sandbox/remote/protocol.ts";
import { requireBuilt, runCli } from "../setup/cli-process.ts";
import { REPOSITORY } from "../setup/sources.ts";
import { eventually } from "../support/eventually.ts";

const name = `upgraded-${process.pid}`;
let earlier = "";
const byEarlier = (...args: string[]) =>
  promisify(execFile)(process.execPath, [join(earlier, "dist", "cli", "main.js"), ...args]);

beforeAll(() => {
  requireBuilt();
  earlier = mkdtempSync(join(tmpdir(), "smolvm-earlier-"));
  cpSync(join(REPOSITORY, "dist"), join(earlier, "dist"), { recursive: true });
  cpSync(join(REPOSITORY, "package.json"), join(earlier, "package.json"));
  symlinkSync(join(REPOSITORY, "node_modules"), join(earlier, "node_modules"));
  const file = join(earlier, "dist", "sandbox", "remote", "protocol.js");
  const text = readFileSync(file, "utf8");
  const changed = text.replace(`PROTOCOL = ${PROTOCOL};`, `PROTOCOL = ${PROTOCOL - 1};`);
  expect(changed).not.toBe(text);
  writeFileSync(file, changed);
});
afterAll(async () => {
  await byEarlier("rm", "-f", name).catch(() => runCli(["rm", "-f", name])); // where the test has failed it is there still
  rmSync(earlier, { recursive: true });
});

it("a machine that runs while smolvm is upgraded goes on, is listed, and can be shut down and started without the earlier version", async () => {
  await byEarlier("create", name, "--image", "tiny", "--memory", "256");
  expect((await SmolVM.list()).find((each) => each.name === name)?.status).toBe("running");

  const { status, stderr } = await runCli(["exec", name, "--", "true"]);
  expect(status).toBe(125);
  expect(stderr).toContain(`Machine "${name}" is held by another version of smolvm`);
  const [, pid] = /supervisor, which shuts the guest down: kill (\d+)\./.exec(stderr) ?? [];
  await expect(SmolVM.get(name)).rejects.toMatchObject({
    code: "OTHER_VERSION",
    details: { pid: Number(pid) },
  });

  process.kill(Number(pid));
  const isStopped = async () =>
    (await SmolVM.list()).find((each) => each.name === name)?.status === "stopped";
  await eventually(isStopped, "its supervisor has shut it down");
  const vm = await SmolVM.get(name);
  await vm.start();
  expect((await vm.run("echo up")).output).toBe("up");
  await vm.delete();
});
