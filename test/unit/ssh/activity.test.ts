import { describe, expect, it } from "vitest";
import { Activity } from "../../../src/ssh/worker/activity.ts";

const elapse = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("what goes on in a machine", () => {
  it("is idle from its last command's end, and not at all while one runs", async () => {
    const activity = new Activity();
    activity.begin();
    activity.begin();
    activity.end();
    await elapse(30);
    expect(activity.idleMs).toBe(0);
    activity.end();
    await elapse(30);
    expect(activity.idleMs).toBeGreaterThanOrEqual(25);
    expect(activity.idleMs).toBeLessThan(1_000);
  });

  it("changes its epoch with whatever may change the guest", () => {
    const activity = new Activity();
    const seen = new Set([activity.epoch]);
    let unshare = () => {};
    const changes = [
      () => activity.begin(),
      () => activity.end(),
      () => {
        unshare = activity.share();
      },
      () => unshare(),
    ];
    for (const change of changes) {
      change();
      seen.add(activity.epoch);
    }
    expect(seen.size).toBe(1 + changes.length);
  });

  it("counts each stranger like a command that runs, until he has gone, and does not take him for its own", () => {
    const activity = new Activity();
    const [first, second] = [activity.share(), activity.share()];
    expect(activity.running).toBe(2);
    expect(activity.idleMs).toBeGreaterThan(0);
    first();
    first(); // twice is fine
    expect(activity.running).toBe(1);
    second();
    expect(activity.running).toBe(0);
  });
});
