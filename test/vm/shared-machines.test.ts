import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { machinePaths } from "../../src/state/paths.ts";
import { generateName } from "../../src/util/names.ts";
import { eventually } from "../support/eventually.ts";
import { firstLine, startProgram } from "../support/machines.ts";
import { elsewhere, lasting, useLasting, withDisk } from "../support/persistent.ts";
import { named, type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(async () => {
  const left = [...home.machines(), ...(await SmolVM.listSnapshots()).map(({ name }) => name)];
  await home[Symbol.asyncDispose]();
  expect(left).toEqual([]);
});

/** All that its console has shown. */
const consoleLog = ({ name }: SmolVM) =>
  readFileSync(machinePaths(home.state, name).logs.console.now, "utf8");

/** It has stood still for so long that it is told the time, and says that it has it. */
async function hearTheTime(vm: SmolVM): Promise<void> {
  await vm.pause();
  await sleep(1_500);
  await vm.resume();
  await vm.run("echo marker >/dev/console", { check: true });
  await eventually(() => consoleLog(vm).includes("marker"), "its console shows what is written there");
  const shown: string[] = [];
  for await (const line of vm.logs()) shown.push(line);
  expect(shown).toContain("marker");
  expect(shown.filter((line) => line.startsWith("smolvm"))).toEqual([]);
  expect(consoleLog(vm)).toMatch(/smolvm: identity 1\d{3}/);
  expect(consoleLog(vm)).not.toMatch(/smolvm [a-z]/);
}

describe("a machine that several programs use", () => {
  it.each([
    ["persistent", lasting],
    ["ephemeral", named],
  ])("and that is %s shows each of them at once what the others changed", (_, made) =>
    useLasting(made(), async (vm) => {
      await vm.run("true"); // a login shell waits for the next command from now on
      for (const round of [1, 2, 3]) {
        const told = await elsewhere(
          vm.name,
          `const vm = await SmolVM.get(name); await vm.run("echo export ROUND=${round} >/etc/profile.d/round.sh", { check: true }); tell("changed")`,
        );
        expect(told).toBe("changed");
        expect((await vm.run("echo $ROUND")).output).toBe(`${round}`);
      }
    }),
  );

  it("mixes none of their commands up", () =>
    useLasting(lasting(), async (vm) => {
      const many = (who: string) =>
        `const vm = await SmolVM.get(name); const all = await Promise.all(Array.from({ length: 15 }, (_, i) => vm.run("echo ${who}" + i)));
         tell(all.map(({ output }) => output))`;
      const own = Array.from({ length: 15 }, (_, i) => vm.run(`echo own${i}`));
      const told = await Promise.all([elsewhere(vm.name, many("a")), elsewhere(vm.name, many("b"))]);
      const named15 = (who: string) => Array.from({ length: 15 }, (_, i) => `${who}${i}`);
      expect(told).toEqual([named15("a"), named15("b")]);
      expect((await Promise.all(own)).map(({ output }) => output)).toEqual(named15("own"));
    }));

  it("ends the commands of the one that dies, and of no other", () =>
    useLasting(lasting(), async (vm) => {
      const program = startProgram(
        `const vm = await SmolVM.get("${vm.name}"); vm.run("exec sleep 4711"); setTimeout(() => tell("runs"), 1500);`,
      );
      const ended = once(program, "exit");
      await firstLine(program);
      const count = async () => (await vm.run("ps | grep -c '[s]leep 4711'", { shell: "raw" })).output;
      expect(await count()).toBe("1");
      const own = vm.run("sleep 2; echo whole");
      program.kill("SIGKILL");
      await ended;
      await eventually(async () => (await count()) === "0", "the command of the other one is gone");
      expect((await own).output).toBe("whole");
    }));
});

describe("a program that does nothing else while another one uses its machine", () => {
  const cli = new URL("../../dist/cli/main.js", import.meta.url).pathname;
  /** Until it has ended, this program hears nothing of what it is told. */
  const useMeanwhile = (name: string) =>
    expect(
      execFileSync(process.execPath, [cli, "exec", name, "--", "echo", "used"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      }),
    ).toBe("used\n");

  it("can at once fork, delete and stop it", () =>
    useLasting(lasting(), async ({ name }) => {
      const vm = await SmolVM.get(name);
      useMeanwhile(name);
      const [fork] = await vm.fork();
      const copy = await SmolVM.get(fork?.name ?? "");
      useMeanwhile(copy.name);
      await copy.delete();
      useMeanwhile(name);
      await vm.stop();
      expect([vm.status, copy.status, (await SmolVM.get(name)).status]).toEqual(Array(3).fill("stopped"));
      expect(home.machines()).toEqual([name]);
    }));
});

describe("an ephemeral machine of another program", () => {
  it("is listed, looked at, used, paused and deleted from here", async () => {
    const made = { ...named(), labels: { team: "a", tier: "web" } };
    const program = startProgram(
      `const vm = await SmolVM.create(${JSON.stringify(made)}); tell(vm.id); for await (const _ of vm.statusChanges()) {}`,
    );
    const ended = once(program, "exit");
    const id = await firstLine(program);
    expect((await SmolVM.list({ labels: { team: "a" } })).map((info) => info.id)).toEqual([id]);
    expect(await SmolVM.list({ labels: { team: "b" } })).toEqual([]);
    expect(await SmolVM.list({ status: ["paused", "stopped"] })).toEqual([]);
    const vm = await SmolVM.get(made.name);
    expect(await vm.info()).toMatchObject({
      id,
      persistent: false,
      ownerPid: program.pid,
      status: "running",
    });
    expect((await vm.run("hostname")).output).toBe(made.name);
    await vm.pause();
    await vm.resume();
    await vm.delete();
    await ended; // its iteration has ended with the machine, and nothing else kept it
    expect(home.machines()).toEqual([]);
  });

  it("is gone with its program, which is seen at once", async () => {
    const made = named();
    const program = startProgram(
      `await SmolVM.create(${JSON.stringify(made)}); tell(1); setTimeout(() => {}, 1e6);`,
    );
    await firstLine(program);
    const vm = await SmolVM.get(made.name);
    const running = vm.run("sleep 100");
    await vm.run("true");
    program.kill("SIGKILL");
    await expect(running).rejects.toMatchObject({ name: "CommandOutcomeUnknownError" });
    await eventually(() => vm.status === "stopped", "it is seen to be gone");
    await expect(SmolVM.get(made.name)).rejects.toMatchObject({ name: "VMNotFoundError" });
  });
});

describe("copies of a persistent machine", () => {
  it("are snapshots that outlive it, and forks that are persistent too", async () => {
    const snapshot = `${named().name}-s`;
    const fork = `${named().name}-f`;
    await useLasting(withDisk(), async (vm) => {
      await vm.run("echo saved >/root/note", { check: true });
      const info = await vm.snapshot(snapshot);
      expect(info).toMatchObject({ name: snapshot, sourceName: vm.name });
      const told = await elsewhere(
        vm.name,
        `const [copy] = await (await SmolVM.get(name)).fork({ name: "${fork}" }); tell(copy.name)`,
      );
      expect(told).toBe(fork);
      const copy = await SmolVM.get(fork);
      expect((await copy.run("cat /root/note; hostname")).output).toBe(`saved\n${fork}`);
      await copy.delete();
    });
    await using restored = await SmolVM.restore(snapshot);
    expect((await restored.run("cat /root/note")).output).toBe("saved");
    await useLasting({ ...lasting(), name: `${named().name}-r` }, async () => {});
    const kept = await SmolVM.restore(snapshot, { persistent: true });
    await kept[Symbol.asyncDispose]();
    const found = await SmolVM.get(kept.name);
    expect((await found.run("cat /root/note")).output).toBe("saved");
    await found.delete();
    await SmolVM.deleteSnapshot(snapshot);
  });
});

describe("what is told of a machine", () => {
  it("is each change of its state, by whichever process, until it is deleted", async () => {
    const vm = new SmolVM(lasting());
    const told = (async () => {
      const seen: string[] = [];
      for await (const { status } of vm.statusChanges()) seen.push(status);
      return seen;
    })();
    await vm.start();
    await elsewhere(
      vm.name,
      "const vm = await SmolVM.get(name); await vm.pause(); await vm.resume(); tell(1)",
    );
    await vm.stop();
    await vm.delete();
    const seen = await told;
    expect(seen.filter((each) => each !== "starting" && each !== "stopping")).toEqual([
      ...["created", "running", "paused", "running", "stopped", "stopped"],
    ]);
  });

  it("are the lines of its console, as they come, to the end", () =>
    useLasting({ ...lasting(), template: "off" }, async (vm) => {
      const lines: string[] = [];
      const other = await SmolVM.get(vm.name);
      const following = (async () => {
        for await (const line of other.logs({ follow: true })) lines.push(line);
      })();
      for (const n of [1, 2, 3]) await vm.run(`echo said ${n} >/dev/console`, { check: true });
      await eventually(() => lines.includes("said 3"), "the last line is there");
      expect(lines.filter((line) => line.startsWith("said"))).toEqual(["said 1", "said 2", "said 3"]);
      const tail: string[] = [];
      for await (const line of vm.logs({ tail: 1 })) tail.push(line);
      expect(tail).toEqual(["said 3"]);
      await vm.delete();
      await following;
    }));

  it("have nothing of what the host and the guest tell each other, which the console does not repeat: in a copy as well", () =>
    useLasting(lasting(), async (vm) => {
      const saved = (await vm.snapshot(generateName())).name;
      try {
        await using copy = await SmolVM.restore(saved);
        await hearTheTime(copy);
      } finally {
        await SmolVM.deleteSnapshot(saved);
      }
      await hearTheTime(vm);
      await vm.stop();
      expect(consoleLog(vm)).not.toContain("smolvm grace");
    }));

  it("is bounded, whatever the guest prints", () =>
    useLasting(lasting(), async (vm) => {
      await vm.run("head -c 3000000 /dev/zero | tr '\\0' x | fold -w 100 >/dev/console", {
        check: true,
        timeout: 100,
      });
      expect((await vm.info()).diskBytes).toBeLessThan(3 * 1024 * 1024);
    }));

  it("is what it uses of the host", () =>
    useLasting(lasting(), async (vm) => {
      const before = await vm.info();
      await vm.run("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done", { check: true });
      const after = await vm.info();
      expect(after.memoryBytes).toBeGreaterThan(32 * 1024 * 1024);
      expect(after.cpuSeconds).toBeGreaterThan(before.cpuSeconds ?? Number.POSITIVE_INFINITY);
      expect(after.uptimeSeconds).toBeGreaterThan(before.uptimeSeconds ?? Number.POSITIVE_INFINITY);
      expect(after.diskBytes).toBeGreaterThan(0);
      expect(after.boot?.phases.length).toBeGreaterThan(2);
    }));
});
