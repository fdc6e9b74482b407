import { describe, expect, it } from "vitest";
import { SmolVM, type SmolVMOptions } from "../../src/index.ts";
import { named } from "../support/templates.ts";

/** Without a way out each of these took ten or twenty seconds. Measured in the guest, whose seconds are those of its clock. */
const MOST_SECONDS = 2;

/** What a shell says, and how many seconds it took. */
const timed = (code: string) =>
  `read -r from _ </proc/uptime; { ${code}; } >/tmp/said 2>&1; echo "$?"; read -r to _ </proc/uptime
	echo "$from $to"; cat /tmp/said`;

async function ask(vm: SmolVM, code: string): Promise<{ status: number; seconds: number; said: string }> {
  const { stdout } = await vm.run(timed(code), { shell: "raw", timeout: 60 });
  const [status, times = "", ...said] = stdout.split("\n");
  const [from = 0, to = 0] = times.split(" ").map(Number);
  return { status: Number(status), seconds: to - from, said: said.join("\n").trim() };
}

async function expectClosed(vm: SmolVM, lookUp: string): Promise<void> {
  const stranger = await ask(vm, `${lookUp} no-such.example`);
  expect(stranger.status).not.toBe(0);
  expect(stranger.seconds).toBeLessThan(MOST_SECONDS);
  await expectOwnName(vm);
}

/** Of both kinds of address; a name is `vm.name`'s. */
async function expectOwnName(vm: SmolVM): Promise<void> {
  const hosts = (await vm.run("hostname; cat /etc/hosts", { shell: "raw" })).stdout.split("\n");
  expect(hosts[0]).toBe(vm.name);
  expect(hosts.slice(1).filter((line) => line.split(/\s+/).includes(vm.name))).toEqual([
    `127.0.1.1 ${vm.name}`,
    `::1 ${vm.name}`,
  ]);
}

const debian = () => ({ ...named(), image: "debian" });
const off = (options: SmolVMOptions = {}) => ({ ...debian(), network: "off" as const, ...options });

describe("a machine without a way out", () => {
  it("fails to find a name at once, knows its own, and so do its copies under their names", async () => {
    await using vm = await SmolVM.create(off());
    await expectClosed(vm, "getent hosts");
    for (const look of [
      "getent ahosts $(hostname)",
      "getent ahostsv4 $(hostname)",
      "getent ahostsv6 $(hostname)",
    ]) {
      const own = await ask(vm, look);
      expect(own).toMatchObject({ status: 0, said: expect.stringContaining(vm.name) });
      expect(own.seconds).toBeLessThan(MOST_SECONDS);
    }
    const [copy] = await vm.fork();
    if (!copy) throw new Error("there is no copy");
    try {
      await expectClosed(copy, "getent hosts");
    } finally {
      await copy.delete();
    }
  });

  it("does so with name servers of its user's too, and after a boot from its disk", async () => {
    await using vm = await SmolVM.create(off({ template: "off" }));
    await vm.run("printf 'nameserver 8.8.8.8\\nnameserver 2001:4860:4860::8888\\n' >/etc/resolv.conf", {
      check: true,
    });
    await expectClosed(vm, "getent ahosts");
    expect((await ask(vm, "echo | timeout 20 bash -c 'exec 3<>/dev/tcp/10.0.2.3/53'")).seconds).toBeLessThan(
      MOST_SECONDS,
    );
    await vm.stop();
    await vm.start();
    await expectClosed(vm, "getent ahosts");
  });

  it("does so where it is tiny", async () => {
    await using vm = await SmolVM.create(off({ image: "tiny", memSizeMib: 128 }));
    await expectClosed(vm, "nslookup");
    expect((await ask(vm, `ping -c 1 ${vm.name}`)).status).toBe(0);
  });
});

it("a machine with a way out knows its own name of both kinds too", async () => {
  await using vm = await SmolVM.create(debian());
  await expectOwnName(vm);
  expect(await ask(vm, `getent ahostsv6 ${vm.name}`)).toMatchObject({ status: 0 });
});
