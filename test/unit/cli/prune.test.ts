import { expect, it } from "vitest";
import { runCli } from "../../../src/cli/cli.ts";
import { fakeIo } from "../../setup/fake-io.ts";

const items = [
  {
    kind: "machine",
    name: "old",
    path: "/h/vms/old",
    sizeBytes: 2 ** 20,
    reason: "its creator is gone",
    removed: true,
    error: null,
  },
  {
    kind: "socket",
    name: "s",
    path: null,
    sizeBytes: 0,
    reason: "nobody listens",
    removed: true,
    error: null,
  },
];

async function prune(argv: readonly string[], given: readonly object[] = items) {
  const asked: unknown[] = [];
  const api = {
    prune: async (options: unknown) => {
      asked.push(options);
      return { items: given, freedBytes: 7 };
    },
  };
  const io = fakeIo(api);
  return { status: await runCli(["prune", ...argv], io), out: io.out(), asked };
}

it("prune is a table of what was removed and why, and what that came to", async () => {
  const { status, out, asked } = await prune([]);
  expect(status).toBe(0);
  expect(asked).toEqual([{ dryRun: false, signal: expect.any(AbortSignal) }]);
  expect(out).toBe(
    [
      "KIND     NAME  SIZE     REASON",
      "machine  old   1.0 MiB  its creator is gone",
      "socket   s     0 B      nobody listens",
      "",
      "1.0 MiB freed.",
      "",
    ].join("\n"),
  );
});

it("prune --dry-run only says what would be", async () => {
  const notRemoved = items.map((item) => ({ ...item, removed: false }));
  const { status, out, asked } = await prune(["--dry-run"], notRemoved);
  expect(status).toBe(0);
  expect(asked).toEqual([{ dryRun: true, signal: expect.any(AbortSignal) }]);
  expect(out).toMatch(/its creator is gone\n[\s\S]*1\.0 MiB would be freed\.\n$/);
});

it("prune says so where there is nothing to remove", async () => {
  expect(await prune([], [])).toMatchObject({ status: 0, out: "There is nothing that nobody needs.\n" });
});

it("prune tells what could not be removed, and that is its status", async () => {
  const [machine] = items;
  const stuck = { ...machine, name: "stuck", removed: false, error: "EACCES: permission denied" };
  const { status, out } = await prune([], [...items, stuck]);
  expect(status).toBe(125);
  expect(out).toContain("machine  stuck  1.0 MiB  could not be removed: EACCES: permission denied\n");
  expect(out).toMatch(/\n1\.0 MiB freed\.\n$/);
});

it("prune shows what is left alone, and why; that is no failure, and frees nothing", async () => {
  const why = "left alone: it can't be told whether its owner lives, because it is on another host";
  const left = { ...items[0], name: "theirs", reason: why, removed: false, left: true };
  const given = await prune([], [...items, left]);
  expect(given.status).toBe(0);
  expect(given.out).toContain(`machine  theirs  1.0 MiB  ${why}\n`);
  expect(given.out).toMatch(/\n1\.0 MiB freed\.\n$/);
  const { status, out } = await prune(["--dry-run"], [left]);
  expect(status).toBe(0);
  expect(out).toContain(why);
  expect(out).toMatch(/\n0 B would be freed\.\n$/);
});

it("prune --json is the library's report", async () => {
  const { out } = await prune(["--json"]);
  expect(JSON.parse(out)).toEqual({ dryRun: false, items, freedBytes: 7 });
});
