import { createReadStream } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { SmolVM, ValidationError } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { openSsh } from "../support/open-ssh.ts";

let vm: SmolVM;
const labels = JSON.parse('{"__proto__":"a","constructor":"b"}');
beforeAll(async () => {
  vm = await SmolVM.create({ labels, env: { prototype: "c" } });
});
afterAll(() => vm.delete());

it("labels and variables of any name are there for other programs and for the guest", async () => {
  const found = await SmolVM.list({ labels });
  expect(found.map(({ id }) => id)).toEqual([vm.id]);
  expect(Object.entries(found[0]?.labels ?? {}).sort()).toEqual(Object.entries(labels).sort());
  expect((await vm.run("printenv prototype")).output).toBe("c");
});

it("variables as large as Linux takes reach a program, and larger ones are refused together with those that are set", async () => {
  await vm.setEnvVars({ BIG: "x".repeat(131_072 - 5) });
  expect((await vm.run("printenv BIG | wc -c")).output).toBe(String(131_072 - 4));
  const many = Object.fromEntries(Array.from({ length: 18 }, (_, n) => [`V${n}`, "y".repeat(100_000)]));
  await vm.setEnvVars(many);
  expect((await vm.run("env | wc -l")).exitCode).toBe(0);
  await expect(vm.setEnvVars({ MORE: "z".repeat(100_000) })).rejects.toThrow(ValidationError);
  await vm.setEnvVars({}, { merge: false });
});

it("what is no ordinary file where the variables are kept is said at once, with the path, and holds up no command", async () => {
  const path = "/etc/profile.d/smolvm_env.sh";
  for (const make of [
    `mkfifo ${path}`,
    `ln -s /dev/zero ${path}`,
    `mkdir ${path}`,
    `truncate -s 1T ${path}`,
  ]) {
    await vm.run(`rm -rf ${path}; ${make}`, { shell: "raw", check: true });
    const began = performance.now();
    for (const work of [
      () => vm.listEnvVars(),
      () => vm.setEnvVars({ A: "x" }),
      () => vm.unsetEnvVars(["A"]),
    ])
      await expect(work()).rejects.toMatchObject({
        code: "ENVIRONMENT",
        message: expect.stringContaining(path),
        remediation: expect.stringMatching(`rm (-r )?${path}$`),
      });
    expect(performance.now() - began).toBeLessThan(50_000);
  }
  await vm.run(`rm ${path}; mkfifo ${path} /etc/profile.d/.smolvm_env.new`, { shell: "raw", check: true });
  expect((await vm.run("echo runs")).output).toBe("runs");
  await vm.run(["rm", path], { shell: "raw", check: true });
  await vm.setEnvVars({ A: "x" });
  expect((await vm.run("printenv A")).output).toBe("x");
  await vm.unsetEnvVars(["A"]);
});

it("a source that is missing is what run() rejects with, and the machine goes on", async () => {
  await expect(
    vm.run("cat", { stdin: createReadStream("/no/such/file"), timeout: null }),
  ).rejects.toMatchObject({
    code: "ENOENT",
  });
  const run = vm.run("cat; echo end", { stdin: "pipe", timeout: 30 });
  run.stdin?.destroy();
  expect((await run).stdout).toBe("end\n");
});

it("strangers who hold connections to its SSH port, silent or with garbage, hold up no command of the owner's", async () => {
  await vm.waitForSsh();
  await vm.run("true");
  const { sshPort } = await vm.info();
  const strangers: Socket[] = [];
  for (let n = 0; n < 12; n++) {
    const socket = connect({ host: "127.0.0.1", port: sshPort ?? 0 });
    socket.on("error", () => {}); // the server may have closed it
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    if (n % 2 === 0) socket.write(Buffer.alloc(4096, n));
    strangers.push(socket);
  }
  for (let n = 0; n < 3; n++) expect((await vm.run("echo in; exit 3")).exitCode).toBe(3);
  const many = Array.from({ length: 8 }, () => vm.run("echo in", { shell: "raw" }));
  for (const { output } of await Promise.all(many)) expect(output).toBe("in");
  expect((await vm.run("tty", { pty: true })).output).toMatch(/^\/dev\/pts/);
  for (const socket of strangers) socket.destroy();
  const comes = () => openSsh(vm, "ssh", vm.name, "echo by ssh").catch(() => "");
  await eventually(async () => (await comes()) === "by ssh", "a new connection is served", 60_000);
});
