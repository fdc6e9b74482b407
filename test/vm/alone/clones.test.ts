import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../../src/index.ts";
import { eventually } from "../../support/eventually.ts";
import { isAlive, pidOf } from "../../support/machines.ts";
import { CLONE, named, type OwnHome, useOwnHome, wrapQemu } from "../../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome();
});
afterAll(async () => {
  await using _ = home;
  expect(home.machines()).toEqual([]);
  expect(home.templates().others).toEqual([]);
});

const DEBIAN = { ...CLONE, image: "debian" } as const;

async function wayOf(vm: SmolVM): Promise<[way: string | undefined, reason: string | undefined]> {
  const { boot } = await vm.info();
  return [boot?.way, boot?.wayReason];
}

/** What tells one machine from another, in one line each. */
const WHO = `head -c 16 /dev/urandom | od -An -tx1 | tr -d ' '; hostname; cat /etc/hostname; cat /etc/machine-id
cat /proc/sys/kernel/random/boot_id; cat /proc/sys/kernel/random/uuid; grep -c "$(hostname)" /etc/hosts`;

describe.each([CLONE, DEBIAN])("two clones of one template ($image)", (kind) => {
  it("are alike in their content, and in nothing by which they are known", async () => {
    await using first = await SmolVM.create({ ...kind, env: { MINE: "first" } });
    await using second = await SmolVM.create({ ...kind, env: { MINE: "second" } });
    expect(await wayOf(first)).toEqual(["template", ""]);
    expect(await wayOf(second)).toEqual(["template", ""]);
    const [one, two] = await Promise.all(
      [first, second].map(async (vm) => (await vm.run(WHO, { check: true })).output.split("\n")),
    );
    expect(one).toHaveLength(7);
    for (let line = 0; line < 6; line++) expect(one?.[line]).not.toBe(two?.[line]);
    expect([one?.[1], one?.[2], one?.[6]]).toEqual([first.name, first.name, "2"]);
    expect([two?.[1], two?.[2], two?.[6]]).toEqual([second.name, second.name, "2"]);
    expect(one?.[3]).toMatch(/^[0-9a-f]{32}$/);
    expect((await first.info()).sshPort).not.toBe((await second.info()).sshPort);
    expect((await first.run("echo $MINE")).output).toBe("first");
    expect((await second.run("echo $MINE")).output).toBe("second");
    const content = "cat /etc/passwd /etc/profile /proc/cmdline /proc/version; ls -R /etc /root | sort";
    expect((await first.run(content)).stdout).toBe((await second.run(content)).stdout);
  });

  it("never see what the other writes, to its disk or its memory, and neither does a third", async () => {
    await using first = await SmolVM.create(kind);
    await using second = await SmolVM.create(kind);
    await first.run("echo first >/root/file; echo first >/dev/shm/file; rm /etc/profile; sync", {
      check: true,
    });
    await using third = await SmolVM.create(kind);
    for (const vm of [second, third]) {
      const seen = await vm.run("ls /root/file /dev/shm/file; ls /etc/profile");
      expect(seen.output).toBe("/etc/profile");
    }
    expect(await wayOf(third)).toEqual(["template", ""]);
  });

  it("had its kernel's random numbers made again before its SSH server's process began", async () => {
    await using vm = await SmolVM.create(kind);
    await vm.waitForSsh();
    const { stdout } = await vm.run(
      "dmesg; for p in $(pidof dropbear); do cut -d' ' -f22 /proc/$p/stat; done",
    );
    const noticed = [
      ...stdout.matchAll(/\[ *([0-9.]+)\] random: crng reseeded due to virtual machine fork/g),
    ];
    expect(noticed).toHaveLength(2); // its template has been a clone before it was saved
    const reseeded = noticed[1]?.[1];
    const begun = Math.max(
      ...stdout
        .split("\n")
        .filter((line) => /^\d+$/.test(line))
        .map(Number),
    );
    expect(Number(reseeded)).toBeGreaterThan(0);
    // A process tells when it began in hundredths of a second.
    expect(begun / 100).toBeGreaterThanOrEqual(Math.floor(Number(reseeded) * 100) / 100);
  });
});

describe("a clone", () => {
  it("has the host's time, also when its template is a day old", async () => {
    const path = process.env.PATH;
    const wrapper = wrapQemu(join(home.state.home, "bin"));
    const yesterday = new Date(Date.now() - 24 * 60 * 60 * 1000).toISOString().slice(0, 19);
    process.env.PATH = `${wrapper.path}:${path}`;
    try {
      wrapper.give("-rtc", `base=${yesterday}`);
      await SmolVM.use(CLONE, async () => {});
      wrapper.give();
      await using vm = await SmolVM.create(CLONE);
      expect(await wayOf(vm)).toEqual(["template", ""]);
      const before = Date.now() / 1000;
      const [now, booted] = (await vm.run("date +%s; stat -c %Z /proc/1")).output.split("\n").map(Number);
      const after = Date.now() / 1000;
      expect(now).toBeGreaterThan(before - 2); // `date` cuts the fraction off
      expect(now).toBeLessThan(after + 1);
      const saved = (await vm.run("stat -c %Y /run/smolvm/ssh/authorized_keys")).output;
      expect(Number(saved)).toBeLessThan(before - 80_000);
      expect(booted).toBeGreaterThan(0);
    } finally {
      process.env.PATH = path;
    }
  });

  it("keeps its name, its machine-id and its disk over stop and start, and boots then", async () => {
    await using vm = await SmolVM.create(DEBIAN);
    const identity = "hostname; cat /etc/machine-id; cat /root/file";
    await vm.run("echo kept >/root/file");
    const { output } = await vm.run(identity);
    await vm.stop();
    await vm.start();
    expect((await wayOf(vm))[0]).toBe("cold");
    expect((await vm.run(identity)).output).toBe(output);
    expect(output).toMatch(/^\S+\n[0-9a-f]{32}\nkept$/);
  });

  it("is booted instead where that is asked for", async () => {
    await using vm = await SmolVM.create({ ...CLONE, template: "off" });
    expect(await wayOf(vm)).toEqual(["cold", 'template is "off"']);
    expect((await vm.run("hostname")).output).toBe(vm.name);
  });

  it("is shut down, paused and reached by other SSH clients like any machine", async () => {
    await using vm = await SmolVM.create(CLONE);
    const { ssh } = vm.sshCommands();
    const known = readFileSync(join(home.state.machines, vm.name, "known_hosts"), "utf8");
    expect(known).toContain(`${(await vm.info()).sshPort}`);
    expect(ssh).toContain("known_hosts");
    await vm.pause();
    await vm.resume();
    expect((await vm.run("echo on")).output).toBe("on");
    const pid = await pidOf(vm);
    await vm.stop({ timeout: 20 });
    expect([vm.status, isAlive(pid)]).toEqual(["stopped", false]);
  });

  it("tells what its start went through", async () => {
    await using vm = await SmolVM.create(CLONE);
    const { boot } = await vm.info();
    const names = ["image", "accelerator", "template", "disk", "spawn", "restore", "identity"];
    expect(boot?.phases.map(({ name }) => name)).toEqual(names);
  });
});

describe("many clones", () => {
  it("two hundred, eight at a time, are all right, none alike, and leave nothing", {
    timeout: 600_000,
  }, async () => {
    await SmolVM.use(CLONE, async () => {});
    const memoryBefore = availableMib();
    const drawn = new Set<string>();
    const pids: number[] = [];
    const useOne = async () => {
      await using vm = await SmolVM.create(named());
      expect(await wayOf(vm)).toEqual(["template", ""]);
      const { output } = await vm.run("hostname; cat /proc/sys/kernel/random/uuid; echo $RANDOM$RANDOM");
      const [hostname, ...random] = output.split("\n");
      expect(hostname).toBe(vm.name);
      for (const each of random) drawn.add(each);
      pids.push(await pidOf(vm));
    };
    const lane = async () => {
      for (let n = 0; n < 25; n++) await useOne();
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    expect(drawn.size).toBe(2 * 200);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(home.machines()).toEqual([]);
    // Eight machines take far more than this; others use this host too.
    await eventually(() => availableMib() > memoryBefore - 300, "the host has its memory back", 20_000);
  });
});

function availableMib(): number {
  return Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]) / 1024;
}
