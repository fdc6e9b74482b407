import { describe, expect, it } from "vitest";
import { runCli } from "../../../src/cli/cli.ts";
import { OperationAbortedError, VMStateError } from "../../../src/errors.ts";
import { fakeIo } from "../../setup/fake-io.ts";
import { fakeMachines, performWith } from "../../support/fake-machines.ts";

const anySignal = expect.any(AbortSignal);

describe("smolvm create", () => {
  const cases: readonly (readonly [argv: string[], options: object])[] = [
    [[], {}],
    [["web"], { name: "web" }],
    [
      ["--image", "tiny", "--memory", "1G", "--cpus", "2", "--disk", "8G", "--network", "off"],
      { image: "tiny", memSizeMib: 1024, vcpuCount: 2, diskSizeMib: 8192, network: "off" },
    ],
    [["--accelerator", "tcg", "--template", "off"], { accelerator: "tcg", template: "off" }],
    [["-e", "A=1", "--env", "B=2"], { env: { A: "1", B: "2" } }],
    [
      ["--label", "job=42", "--label", "kind=a=b", "--label", "empty="],
      { labels: { job: "42", kind: "a=b", empty: "" } },
    ],
    [["--port", "8080:80", "--port", "443"], { ports: [{ guest: 80, host: 8080 }, { guest: 443 }] }],
    [["--ttl", "8h", "--idle-timeout", "600"], { ttl: "8h", idleTimeout: 600 }],
    [["--host-memory", "1G"], { hostLimits: { memoryMib: 1024 } }],
    [["--host-cpus", "1.5", "--host-memory", "300"], { hostLimits: { cpus: 1.5, memoryMib: 300 } }],
  ];
  it.each(cases)(
    "%j asks the library for a machine that stays, with %j and nothing else",
    async (argv, options) => {
      const { calls, status } = await performWith(fakeMachines(), ["create", ...argv]);
      expect(status).toBe(0);
      expect(calls[0]?.[2]).toEqual({
        ...options,
        persistent: true,
        signal: anySignal,
        onProgress: expect.any(Function),
      });
    },
  );

  it("prints the name, be it given or not, and closes its connections", async () => {
    expect((await performWith(fakeMachines(), ["create", "db"])).out).toBe("db\n");
    const { out, all } = await performWith(fakeMachines(), ["create"]);
    expect(out).toBe("swift-otter-3f9a1c\n");
    expect(all.at(-1)?.slice(0, 2)).toEqual(["close", "swift-otter-3f9a1c"]);
  });

  it("--json shows the machine", async () => {
    const { out } = await performWith(fakeMachines(), ["create", "db", "--json"]);
    expect(JSON.parse(out)).toMatchObject({ machine: { name: "db", status: "running", sshPort: 2222 } });
  });

  it.each([
    [["--port", "0"], /HOST:GUEST/],
    [["--port", "80:65536"], /HOST:GUEST/],
    [["--port", "127.0.0.1:80:80"], /HOST:GUEST/],
    [["--label", "job"], /KEY=VALUE/],
    [["--label", "=x"], /KEY=VALUE/],
    [["--host-cpus", "0"], /above 0/],
    [["--host-cpus", "two"], /above 0/],
    [["--ttl", "never"], /at most a day/],
  ])("%j is refused before anything is made", async (argv, message) => {
    const { status, err, calls } = await performWith(fakeMachines(), ["create", ...argv]);
    expect({ status, calls }).toEqual({ status: 2, calls: [] });
    expect(err).toMatch(message);
  });
});

describe("start, stop, pause, resume, rm", () => {
  const stopped = { name: "db", status: "stopped" } as const;
  const cases: readonly (readonly [argv: string[], calls: unknown[][]])[] = [
    [["start", "web"], [["start", "web", { signal: anySignal, onProgress: expect.any(Function) }]]],
    [["start", "--timeout", "5m", "web"], [["start", "web", expect.objectContaining({ timeout: "5m" })]]],
    [["stop", "web"], [["stop", "web", {}]]],
    [["stop", "--timeout", "30", "web"], [["stop", "web", { timeout: 30 }]]],
    [
      ["pause", "web", "db"],
      [
        ["pause", "web"],
        ["pause", "db"],
      ],
    ],
    [["resume", "web", "web"], [["resume", "web"]]],
    [["rm", "db"], [["delete", "db"]]],
    [
      ["rm", "-f", "web", "db"],
      [
        ["delete", "web"],
        ["delete", "db"],
      ],
    ],
    [["rm", "broken"], [["delete", "broken"]]],
  ];
  it.each(cases)("%j does %j", async (argv, wanted) => {
    const library = fakeMachines([{}, stopped, { name: "broken", status: "error" }]);
    const { calls, status } = await performWith(library, argv);
    expect({ status, calls }).toEqual({ status: 0, calls: wanted });
  });

  it("print the names, and their own key as JSON", async () => {
    const library = () => fakeMachines([{}, stopped]);
    expect((await performWith(library(), ["stop", "web", "db"])).out).toBe("web\ndb\n");
    for (const [verb, key] of Object.entries({
      start: "started",
      stop: "stopped",
      pause: "paused",
      resume: "resumed",
    })) {
      const { out } = await performWith(library(), [verb, "web", "db", "--json"]);
      expect(JSON.parse(out)).toEqual({ [key]: ["web", "db"] });
    }
    expect(JSON.parse((await performWith(library(), ["rm", "-f", "web", "--json"])).out)).toEqual({
      removed: ["web"],
    });
  });

  it.each(["running", "paused", "starting", "stopping"] as const)(
    "a machine that is %s is not removed without -f, and the remedy is told",
    async (phase) => {
      const { status, err, calls } = await performWith(fakeMachines([{ status: phase }]), ["rm", "web"]);
      expect({ status, calls }).toEqual({ status: 125, calls: [] });
      expect(err).toBe(`smolvm: Machine "web" is ${phase}, and was not removed.\n  smolvm rm -f web\n`);
    },
  );
});

describe("several machines of which some fail", () => {
  it("are all tried, each failure is told, and the first decides the status", async () => {
    const { status, out, err, calls } = await performWith(
      fakeMachines([{}, { name: "db", status: "stopped" }]),
      [...["rm", "nope", "web", "db"]],
    );
    expect(status).toBe(125);
    expect(out).toBe("db\n");
    expect(err).toBe(
      'smolvm: There is no machine nope.\n  Did you mean web?\nsmolvm: Machine "web" is running, and was not removed.\n  smolvm rm -f web\n',
    );
    expect(calls).toEqual([["delete", "db"]]);
  });

  it("are one document with the first failure as its error", async () => {
    const { status, out, err } = await performWith(fakeMachines(), ["stop", "--json", "nope", "web"]);
    expect({ status, err }).toEqual({ status: 125, err: "" });
    const error = {
      code: "VM_NOT_FOUND",
      message: "There is no machine nope.",
      remediation: "Did you mean web?",
    };
    expect(JSON.parse(out)).toEqual({ error, failures: [{ name: "nope", ...error }], stopped: ["web"] });
  });

  it("are left alone from Ctrl-C on", async () => {
    const asked: string[] = [];
    const stop = async () => {
      asked.push("stop");
      io.interrupt("SIGINT");
      throw new OperationAbortedError("stop");
    };
    const { api } = fakeMachines([{}, { name: "db" }], { more: { stop } });
    const io = fakeIo(api);
    expect(await runCli(["stop", "web", "db"], io)).toBe(130);
    expect(asked).toEqual(["stop"]);
    expect(io.out() + io.err()).toBe("");
  });

  it("a single one that fails is an error as everywhere", async () => {
    const { status, out } = await performWith(fakeMachines(), ["stop", "--json", "nope", "nope"]);
    expect(status).toBe(125);
    expect(Object.keys(JSON.parse(out))).toEqual(["error"]);
  });
});

describe("a machine in a state in which the command makes no sense", () => {
  it.each([
    ["Call start() first.", "smolvm start web"],
    ["Call start() to boot it again with its disk, or delete() to remove it.", "smolvm start web"],
    ["Wait for stop() to finish, then call start().", "smolvm start web"],
    ["Call resume() first.", "smolvm resume web"],
    ["Call stop() first.", "smolvm stop web"],
    ["Wait for start() to finish.", "Wait for start() to finish."],
    ["Free some space.", "Free some space."],
  ])("is told %j as %j", async (remediation, remedy) => {
    const broken = { pause: new VMStateError("Machine web does not run.", { remediation }) };
    const { err, status } = await performWith(fakeMachines([{}], { broken }), ["pause", "web"]);
    expect({ status, err }).toEqual({ status: 125, err: `smolvm: Machine web does not run.\n  ${remedy}\n` });
  });

  it("is told no remedy where there is none", async () => {
    const library = fakeMachines([{}], { broken: { pause: new VMStateError("It does not run.") } });
    expect((await performWith(library, ["pause", "web"])).err).toBe("smolvm: It does not run.\n");
  });
});
