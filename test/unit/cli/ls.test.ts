import { describe, expect, it } from "vitest";
import { fakeMachines, performWith } from "../../support/fake-machines.ts";

const machines = [
  { name: "ci-1", labels: { job: "42", kind: "ci" }, memSizeMib: 2048, vcpuCount: 2, uptimeSeconds: 45 },
  { name: "db", status: "stopped", image: null, uptimeSeconds: null, labels: { job: "43" } },
  { name: "fresh", status: "created", uptimeSeconds: null },
  { name: "web", status: "paused", persistent: false, labels: { job: "" } },
] as const;
const damaged = {
  name: "old",
  status: "error",
  statusReason: "Its record can't be read.",
  ...{ image: null, memSizeMib: 0, vcpuCount: 0, diskSizeMib: 0, createdAt: "", id: "", sshPort: null },
  uptimeSeconds: null,
} as const;

const list = async (...argv: string[]) => (await performWith(fakeMachines(machines), ["ls", ...argv])).out;

describe("smolvm ls", () => {
  it("is a table of what is there now", async () => {
    expect(await list()).toBe(
      [
        "NAME  STATUS   IMAGE   MEMORY   CPUS  UPTIME  DISK    KIND",
        "ci-1  running  debian  2.0 GiB  2     45s     37 MiB  persistent",
        "web   paused   debian  512 MiB  1     2h 5m   37 MiB  ephemeral",
        "",
      ].join("\n"),
    );
  });

  it("shows why a machine is in error, in a column that is there for that alone", async () => {
    const { out } = await performWith(fakeMachines([{}, damaged]), ["ls"]);
    expect(out).toBe(
      [
        "NAME  STATUS   IMAGE   MEMORY   CPUS  UPTIME  DISK    KIND        REASON",
        "web   running  debian  512 MiB  1     2h 5m   37 MiB  persistent",
        "old   error    -       -        -     -       37 MiB  persistent  Its record can't be read.",
        "",
      ].join("\n"),
    );
  });

  it("is its head alone where there is no machine, and nothing with -q", async () => {
    expect((await performWith(fakeMachines([]), ["ls"])).out).toMatch(/^NAME .*KIND\n$/);
    expect((await performWith(fakeMachines([]), ["ls", "-q"])).out).toBe("");
  });

  it.each([
    [[], ["ci-1", "web"]],
    [["-a"], ["ci-1", "db", "fresh", "web"]],
    [["--all"], ["ci-1", "db", "fresh", "web"]],
    [["--filter", "status=stopped"], ["db"]],
    [
      ["--filter", "status=stopped", "--filter", "status=paused"],
      ["db", "web"],
    ],
    [
      ["--filter", "label=job"],
      ["ci-1", "web"],
    ],
    [["-a", "--filter", "label=job=43"], ["db"]],
    [["-a", "--filter", "label=job="], ["web"]],
    [["--filter", "label=job=42", "--filter", "label=kind=ci"], ["ci-1"]],
    [["--filter", "label=job=42", "--filter", "label=kind=x"], []],
    [["--filter", "label=toString"], []],
    [["-a", "--filter", "name=d*"], ["db"]],
    [["-a", "--filter", "name=?b"], ["db"]],
    [["-a", "--filter", "name=b"], []],
    [["-a", "--filter", "name=d.*"], []],
    [
      ["-a", "--filter", "name=web", "--filter", "name=ci-*"],
      ["ci-1", "web"],
    ],
    [["-a", "--filter", "name=*", "--filter", "label=kind", "--filter", "status=running"], ["ci-1"]],
  ])("%j finds %j", async (argv, names) => {
    expect((await list("-q", ...argv)).split("\n").filter(Boolean)).toEqual(names);
    expect(
      JSON.parse(await list("--json", ...argv)).machines.map(({ name }: { name: string }) => name),
    ).toEqual(names);
  });

  it.each([
    ["job=42", /label=KEY/],
    ["label", /label=KEY/],
    ["label==x", /label=KEY/],
    ["name=", /name=GLOB/],
    ["status=up", /statuses are created, starting/],
  ])("the filter %j is refused", async (filter, message) => {
    const { status, err } = await performWith(fakeMachines(), ["ls", "--filter", filter]);
    expect(status).toBe(2);
    expect(err).toMatch(message);
  });
});

describe("smolvm inspect", () => {
  it("shows what is known, and leaves out what is not", async () => {
    const boot = {
      accelerator: "tcg",
      acceleratorReason: "",
      startedAt: "",
      way: "template",
      wayReason: "",
      phases: [
        { name: "spawn", ms: 12.4 },
        { name: "connect", ms: 90 },
      ],
    } as const;
    const library = fakeMachines([
      { boot, labels: { a: "1", b: "2" }, ttlSeconds: 3600 },
      { ...machines[1] },
    ]);
    const { out } = await performWith(library, ["inspect", "web", "db"]);
    const [web = "", db = ""] = out.split("\n\n");
    expect(web).toBe(
      [
        "name:     web",
        "id:       vm-web",
        "status:   running",
        "kind:     persistent",
        "image:    debian",
        "memory:   512 MiB, 100 MiB taken of this host",
        "cpus:     1",
        "cpu time: 1.3 s",
        "disk:     4.0 GiB, 37 MiB taken of this host",
        "network:  open",
        "labels:   a=1, b=2",
        "created:  2025-01-01T00:00:00.000Z",
        "started:  2025-01-01T00:00:01.000Z",
        "uptime:   2h 5m",
        "ttl:      1h 0m",
        "pid:      42",
        "ssh port: 2222",
        "folder:   /home/vms/web",
        "boot:     template, tcg: spawn 12 ms, connect 90 ms",
      ].join("\n"),
    );
    expect(db).not.toMatch(/uptime|image|boot/);
  });

  it("says why a machine is in error", async () => {
    const { out } = await performWith(fakeMachines([damaged]), ["inspect", "old"]);
    expect(out).toMatch(/^status: +error: Its record can't be read\.$/m);
    expect(out).not.toMatch(/^(id|created|cpus|memory):/m);
  });

  it("is one document, and tells what it did not find beside what it found", async () => {
    const { out, status } = await performWith(fakeMachines(), ["inspect", "--json", "web", "nope"]);
    expect(status).toBe(125);
    expect(JSON.parse(out)).toMatchObject({
      error: { code: "VM_NOT_FOUND" },
      failures: [{ name: "nope" }],
      machines: [{ name: "web", memoryBytes: 104857600 }],
    });
  });
});
