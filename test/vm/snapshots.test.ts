import { existsSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { clearAfterFailures } from "../support/own-machines.ts";
import { CLONE, named, type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(async () => {
  await using _ = home;
  expect(home.machines()).toEqual([]);
  expect(await SmolVM.listSnapshots()).toEqual([]);
});

/** Whatever is made here goes through this. */
const own = clearAfterFailures();

/** By a rename: whoever reads it sees a whole number at any moment. */
const COUNT = "i=0; while :; do i=$((i+1)); echo $i >/tmp/next; mv /tmp/next /tmp/count; sleep 0.02; done";
const DEBIAN = { ...CLONE, image: "debian" };

/** A command that goes on until the machine goes, whatever becomes of it. It has begun when it has written that file. */
async function runOn(vm: SmolVM, command: string, writes: string): Promise<void> {
  vm.run(command, { shell: "raw", timeout: null }).catch(() => {});
  await vm.run(`until [ -s ${writes} ]; do sleep 0.05; done`, { check: true });
}

const read = async (vm: SmolVM, command: string) => (await vm.run(command, { check: true })).output;
const deleteAll = (machines: readonly SmolVM[]) => Promise.all(machines.map((vm) => vm.delete()));

describe("a snapshot of a machine at work", () => {
  it("harms none of its commands, and tells for how long they stood still", () =>
    SmolVM.use(named(), async (vm) => {
      const lines: string[] = [];
      const counting = vm.run("for i in $(seq 1 400); do echo $i; sleep 0.005; done; echo no >&2; exit 7", {
        timeout: 100, // it stands still meanwhile, and the computer may be busy
        onStdout: (text) => lines.push(text),
      });
      const echoing = vm.run("cat", { stdin: "pipe", timeout: 100 });
      echoing.stdin?.write("before\n");
      await eventually(() => lines.length > 3, "it counts");
      const info = await vm.snapshot("busy");
      echoing.stdin?.end("after\n");
      const expected = Array.from({ length: 400 }, (_, i) => `${i + 1}\n`).join("");
      expect(await counting).toMatchObject({ exitCode: 7, stdout: expected, stderr: "no\n" });
      expect(await echoing).toMatchObject({ exitCode: 0, stdout: "before\nafter\n" });
      expect(info.pauseMs).toBeGreaterThan(0);
      expect(info.pauseMs).toBeLessThan(20_000);
      const ofSource = { sourceName: vm.name, image: "tiny", memSizeMib: 256, accelerator: "tcg" };
      expect(info).toMatchObject({ name: "busy", ...ofSource });
      expect(await SmolVM.listSnapshots()).toEqual([info]);
      await SmolVM.deleteSnapshot("busy");
    }));

  it("has memory and disk of one moment, and no later one of either", () =>
    SmolVM.use({ ...DEBIAN, name: "writer" }, async (vm) => {
      await vm.run("head -c 8M /dev/urandom >/root/data; sync; sha256sum </root/data >/root/sum", {
        check: true,
      });
      // Each line goes to the memory and to the disk, and stays there.
      const both = "echo $i >>/run/log; echo $i >>/root/log; sync /root/log";
      const logging = `i=0; until [ -e /run/stop ]; do i=$((i+1)); ${both}; done; echo >/run/stopped`;
      await runOn(vm, logging, "/root/log");
      await vm.snapshot("moment");
      const copy = await own(SmolVM.restore("moment"));
      await vm.run("rm /root/data; echo lost >/root/sum; sync", { check: true });
      const stop = "touch /run/stop; until [ -e /run/stopped ]; do sleep 0.05; done";
      await copy.run(stop, { check: true, timeout: 100 });
      // Nothing that is in memory hides what the disk holds.
      await copy.run("sync; echo 3 >/proc/sys/vm/drop_caches; cp /run/log /root/log-of-memory", {
        check: true,
      });
      const check =
        "sha256sum -c /root/sum </root/data; cmp /root/log /root/log-of-memory; seq $(wc -l </root/log) | cmp - /root/log";
      expect(await read(copy, `${check}; dmesg | grep 'EXT4-fs error' || true`)).toBe("-: OK");
      await copy.stop();
      await copy.start();
      expect(await read(copy, check)).toBe("-: OK");
      expect(await read(vm, "cat /root/sum")).toBe("lost");
      await copy.delete();
      await SmolVM.deleteSnapshot("moment");
    }));

  it("of a machine that stands still leaves it so", () =>
    SmolVM.use({ ...named(), template: "off" }, async (vm) => {
      await vm.run("echo kept >/tmp/mark");
      await vm.pause();
      expect((await vm.snapshot("still")).pauseMs).toBe(0);
      expect(vm.status).toBe("paused");
      const copy = await own(SmolVM.restore("still"));
      expect(copy.status).toBe("running");
      expect(await read(copy, "cat /tmp/mark")).toBe("kept");
      await vm.resume();
      expect(await read(vm, "cat /tmp/mark")).toBe("kept");
      await copy.delete();
      await SmolVM.deleteSnapshot("still");
    }));

  it("waits for the one that is being taken, as do pause and stop", () =>
    SmolVM.use(named(), async (vm) => {
      const both = Promise.all([vm.snapshot("first"), vm.snapshot("second")]);
      await eventually(
        () => existsSync(home.state.snapshots) && readdirSync(home.state.snapshots).length > 0,
        "one is being taken",
      );
      await vm.pause();
      // It pauses between the two or after both.
      expect(Math.max(...(await both).map(({ pauseMs }) => pauseMs))).toBeGreaterThan(0);
      expect(vm.status).toBe("paused");
      await vm.stop();
      await SmolVM.deleteSnapshot("first");
      await SmolVM.deleteSnapshot("second");
    }));
});

describe("machines restored from one snapshot", () => {
  it("go on side by side, when their source and the snapshot are gone, each for itself", async () => {
    const vm = await own(SmolVM.create({ ...DEBIAN, name: "source", labels: { of: "source" } }));
    await vm.run("echo shared >/root/mark; echo shared >/run/mark", { check: true });
    await runOn(vm, COUNT, "/tmp/count");
    await vm.snapshot("many");
    await vm.delete();
    const copies = await Promise.all(
      ["a", "b", "c"].map((name) => own(SmolVM.restore("many", { name, env: { WHO: name } }))),
    );
    await SmolVM.deleteSnapshot("many");
    const seen = await Promise.all(
      copies.map((copy) =>
        read(
          copy,
          "cat /root/mark /run/mark; hostname; cat /etc/machine-id; echo $WHO; cat /proc/sys/kernel/random/uuid",
        ),
      ),
    );
    const rows = seen.map((text) => text.split("\n"));
    expect(rows.map(([onDisk, inMemory, hostname, , who]) => [onDisk, inMemory, hostname, who])).toEqual(
      ["a", "b", "c"].map((name) => ["shared", "shared", name, name]),
    );
    for (const column of [3, 5]) expect(new Set(rows.map((row) => row[column])).size).toBe(3);
    const counts = async () =>
      Promise.all(copies.map(async (copy) => Number(await read(copy, "cat /tmp/count"))));
    const before = await counts();
    const goOn = async () => (await counts()).every((count, index) => count > (before[index] ?? 0));
    await eventually(goOn, "the program of the source goes on in each of them");
    await Promise.all(
      copies.map((copy) => copy.run(`echo ${copy.name} >/root/mark; echo ${copy.name} >/run/mark`)),
    );
    expect(await Promise.all(copies.map((copy) => read(copy, "cat /root/mark /run/mark")))).toEqual(
      ["a", "b", "c"].map((name) => `${name}\n${name}`),
    );
    expect((await copies[0]?.info())?.labels).toEqual({ of: "source" });
    expect((await copies[0]?.info())?.boot).toMatchObject({ way: "snapshot", wayReason: "" });
    await deleteAll(copies);
  });

  it("are sources of others, on disks of as many layers", () =>
    SmolVM.use({ ...DEBIAN, name: "layer-0" }, async (vm) => {
      let source = vm;
      const made: SmolVM[] = [];
      for (let depth = 1; depth <= 3; depth++) {
        await source.run(`echo ${depth} >/root/at-${depth}; sync`, { check: true });
        const [copy] = await own(source.fork({ name: `layer-${depth}` }));
        if (!copy) throw new Error("there is no fork");
        made.push(copy);
        await source.run(`echo later >/root/at-${depth}`, { check: true });
        source = copy;
      }
      expect(await read(source, "cat /root/at-*; hostname")).toBe("1\n2\n3\nlayer-3");
      await deleteAll(made.slice(0, 2));
      await source.stop();
      await source.start();
      expect(await read(source, "cat /root/at-*")).toBe("1\n2\n3");
      await source.delete();
    }));

  it("are as good where their source's kernel was told to keep quiet", () =>
    SmolVM.use(named(), async (vm) => {
      // It is so busy that it hears late that it is to be copied.
      await vm.run("for i in 1 2 3 4; do (while :; do :; done) & done", { check: true });
      await vm.run("echo 1 >/proc/sys/kernel/printk", { check: true });
      await vm.snapshot("quiet");
      const copy = await own(SmolVM.restore("quiet"));
      expect(await read(copy, "echo alive")).toBe("alive");
      await copy.delete();
      await SmolVM.deleteSnapshot("quiet");
    }));

  it("have the right time after any time, and no process of the source's connections", () =>
    SmolVM.use(named(), async (vm) => {
      await runOn(vm, COUNT, "/tmp/count");
      await vm.run("date -s 2020-01-01", { check: true });
      const [copy] = await own(vm.fork());
      if (!copy) throw new Error("there is no fork");
      const before = Date.now() / 1000;
      const seen = Number(await read(copy, "date +%s"));
      expect(seen).toBeGreaterThan(before - 2); // `date` cuts the fraction off
      expect(seen).toBeLessThan(Date.now() / 1000 + 1);
      const sessions = await read(copy, "ps | grep -c '[d]ropbear.* -2 '");
      expect(sessions).toBe("1");
      await copy.delete();
      expect(await read(vm, "cat /tmp/count")).toMatch(/^\d+$/);
    }));
});

describe("forks", () => {
  it.each(["tiny", "debian"])(
    "of %s answer in a shell that waited, as new as any, whatever their source had done",
    (image) =>
      SmolVM.use({ ...CLONE, image, name: "root" }, async (vm) => {
        const ask = async (moment: string, running: string) => {
          const [fork] = await own(vm.fork());
          if (!fork) throw new Error("there is no fork");
          const script =
            "echo $HOSTNAME $(hostname) $WHAT $(wc -l </sys/fs/cgroup/smolvm/background/cgroup.procs)";
          const first = await read(fork, script);
          expect(first, moment).toBe(`${fork.name} ${fork.name} ${moment} ${running}`);
          expect(await read(fork, script), moment).toBe(first);
          await fork.waitForSsh();
          expect(await read(fork, script), moment).toBe(first);
          await fork.delete();
        };
        await vm.setEnvVars({ WHAT: "fresh" });
        await ask("fresh", "0");
        await vm.waitForSsh();
        await ask("fresh", "0");
        await vm.setEnvVars({ WHAT: "changed" });
        await ask("changed", "0");
        await runOn(vm, "echo begun >/run/begun; exec sleep 1000", "/run/begun");
        await vm.setEnvVars({ WHAT: "busy" });
        await ask("busy", "1");
        expect(await read(vm, "echo $WHAT")).toBe("busy");
      }),
  );

  it("are named, differ in what makes a machine one, and leave no snapshot", () =>
    SmolVM.use(named(), async (vm) => {
      await vm.run("echo same >/tmp/mark");
      const forks = await own(vm.fork({ count: 3, name: "leaf" }));
      const seen = await Promise.all(
        forks.map((fork) =>
          read(fork, "hostname; cat /tmp/mark /etc/machine-id; head -c 16 /dev/urandom | md5sum"),
        ),
      );
      expect(forks.map(({ name }) => name)).toEqual(["leaf-1", "leaf-2", "leaf-3"]);
      expect(seen.map((text) => text.split("\n").slice(0, 2))).toEqual(
        [1, 2, 3].map((n) => [`leaf-${n}`, "same"]),
      );
      for (const line of [2, 3]) expect(new Set(seen.map((text) => text.split("\n")[line])).size).toBe(3);
      expect(await SmolVM.listSnapshots()).toEqual([]);
      await deleteAll(forks);
    }));

  it("are all there or none", () =>
    SmolVM.use(named(), async (vm) => {
      await SmolVM.use({ ...CLONE, name: "bough-2" }, async (other) => {
        await expect(vm.fork({ count: 3, name: "bough" })).rejects.toThrow(/"bough-2" exists already/);
        expect(home.machines().sort()).toEqual([vm.name, other.name].sort());
        expect(await read(other, "echo here")).toBe("here");
      });
      expect(await read(vm, "echo here")).toBe("here");
    }));
});
