import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, it } from "vitest";
import { listMarkedProcesses, MARK, newMark } from "../setup/marked-processes.ts";

it("a process in a session of its own is found by its mark, and no more when it has ended", async () => {
  const mark = newMark();
  const child = spawn("sleep", ["60"], {
    detached: true,
    stdio: "ignore",
    env: { ...process.env, [MARK]: mark },
  });
  await expect
    .poll(() => listMarkedProcesses(mark))
    .toEqual([{ pid: child.pid, command: expect.stringMatching(/\bsleep 60/) }]);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(listMarkedProcesses(mark)).toEqual([]);
});

it("other marks, and this process, are not found", () => {
  expect(listMarkedProcesses(newMark())).toEqual([]);
  expect(listMarkedProcesses(process.env[MARK] ?? "none").map(({ pid }) => pid)).not.toContain(process.pid);
});
