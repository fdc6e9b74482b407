import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { ShellLender } from "../../../src/ssh/parked/lend-shell.ts";
import { Activity } from "../../../src/ssh/worker/activity.ts";
import type { Links } from "../../../src/ssh/worker/links.ts";

const NAMES = ["main", "errors"] as const;
const NEVER = new Promise<never>(() => {});

/** A guest whose ports one shell can have at a time, and what this side holds of them. */
class FakeGuest {
  /** Whoever opens ports that are not free. */
  clashes = 0;
  opened = 0;
  isTaken = false;
  isRoot = true;
  readonly #main = new PassThrough();
  #free: () => void = () => {};

  openPorts = () => {
    const free = new Promise<void>((resolve) => {
      this.#free = resolve;
    });
    return { main: this.#main, errors: new PassThrough(), closed: NEVER, free } as never;
  };

  /** The shell has ended. */
  letGo(): void {
    this.isTaken = false;
    this.#free();
  }

  links(): Links {
    const facts = async () => ({ isRoot: this.isRoot, cgroups: true, loginShell: "bash" });
    const keeper = async () => ({ facts: facts() });
    const exec = async (request: string) => {
      await sleep(20);
      const exited = { setSink() {}, exited: Promise.resolve({ code: 0 }), closed: NEVER };
      if (!request.includes(NAMES[0])) return exited; // it only looks whether the shell waits
      if (this.isTaken) this.clashes += 1;
      this.isTaken = true;
      this.opened += 1;
      this.#main.once("data", (line: Buffer) => {
        const token = line.toString().trimEnd();
        setTimeout(() => this.#main.write(`\u0001${token} ready 5\n`), 20);
        setTimeout(() => this.#main.write(`\u0001${token} waits\n`), 40);
      });
      return { ...exited, exited: NEVER };
    };
    const standing = { keeper, connection: { account: "root", exec } };
    return { standing, activity: new Activity() } as unknown as Links;
  }
}

async function tookMs(work: Promise<unknown>): Promise<number> {
  const calledMs = performance.now();
  await work;
  return performance.now() - calledMs;
}

describe("a shell for the copies of a machine", () => {
  it("comes when the one before is gone, though nobody waited for that one", async () => {
    const guest = new FakeGuest();
    const lender = new ShellLender(guest.links(), null);
    const abandoned = lender.lend(guest.openPorts, NAMES);
    const next = lender.lend(guest.openPorts, NAMES);
    expect(await abandoned).not.toBeNull();
    await sleep(100);
    expect(guest.opened).toBe(1);
    guest.letGo();
    expect(await next).not.toBeNull();
    expect([guest.opened, guest.clashes]).toEqual([2, 0]);
  });

  it("that could not be had keeps no later one waiting", async () => {
    const guest = new FakeGuest();
    const lender = new ShellLender(guest.links(), null);
    guest.isRoot = false;
    expect(await lender.lend(guest.openPorts, NAMES)).toBeNull();
    guest.isRoot = true;
    let lent: unknown = null;
    const ms = await tookMs(
      lender.lend(guest.openPorts, NAMES).then((shell) => {
        lent = shell;
      }),
    );
    expect(lent).not.toBeNull();
    expect(ms).toBeLessThan(1_000);
  });
});
