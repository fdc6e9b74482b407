import type { MachineInfo } from "../../src/cli/api.ts";
import { runCli } from "../../src/cli/cli.ts";
import { VMNotFoundError, VMStateError } from "../../src/errors.ts";
import { fakeIo } from "../setup/fake-io.ts";

const SHAPE = {
  image: "debian",
  memSizeMib: 512,
  vcpuCount: 1,
  diskSizeMib: 4096,
  network: "open",
  labels: {},
} as const;

/** A machine that runs, unless told otherwise. */
function fakeInfo(facts: Partial<MachineInfo> = {}): MachineInfo {
  return {
    id: `vm-${facts.name ?? "web"}`,
    name: "web",
    status: "running",
    statusReason: null,
    ...SHAPE,
    pid: 42,
    sshPort: 2222,
    boot: null,
    persistent: true,
    createdAt: "2025-01-01T00:00:00.000Z",
    startedAt: "2025-01-01T00:00:01.000Z",
    uptimeSeconds: 7500,
    ownerPid: null,
    memoryBytes: 100 * 1024 ** 2,
    cpuSeconds: 1.25,
    diskBytes: 37 * 1024 ** 2,
    ttlSeconds: null,
    idleTimeoutSeconds: null,
    folder: "/home/vms/web",
    ...facts,
  };
}

type Call = readonly [verb: string, name: string, ...values: unknown[]];

interface Fake {
  readonly calls: Call[];
  readonly broken: Readonly<Record<string, unknown>>;
  readonly more: object;
}

/** A library of machines that writes down what is done with them. What `broken` names throws that. */
export function fakeMachines(
  machines: readonly Partial<MachineInfo>[] = [{}],
  { broken = {}, more = {} }: Partial<Omit<Fake, "calls">> = {},
) {
  const fake: Fake = { calls: [], broken, more };
  const { calls } = fake;
  const infos = machines.map(fakeInfo);
  const make = ({ name = "swift-otter-3f9a1c" }: { name?: string }) => openFake(fakeInfo({ name }), fake);
  const SmolVM = {
    get: async (name: string) => {
      const info = infos.find((each) => each.name === name || each.id === name);
      if (info) return openFake(info, fake);
      throw new VMNotFoundError(`There is no machine ${name}.`, { remediation: "Did you mean web?" });
    },
    list: async () => infos,
    create: async (options: { name?: string }) => {
      calls.push(["create", options.name ?? "", options]);
      return make(options);
    },
    restore: async (snapshot: string, options: { name?: string }) => {
      calls.push(["restore", snapshot, options]);
      return make(options);
    },
    listSnapshots: async () => [fakeSnapshot()],
    deleteSnapshot: async (name: string) => void calls.push(["deleteSnapshot", name]),
  };
  return { api: { SmolVM, VMStateError }, calls };
}

function openFake(info: MachineInfo, fake: Fake) {
  const { calls, broken, more } = fake;
  const note =
    (verb: string, answer: unknown = undefined) =>
    async (...values: unknown[]) => {
      calls.push([verb, info.name, ...values]);
      if (verb in broken) throw broken[verb];
      return answer;
    };
  return {
    ...{ id: info.id, name: info.name, status: info.status },
    ...{ start: note("start"), stop: note("stop"), pause: note("pause"), resume: note("resume") },
    ...{ delete: note("delete"), snapshot: note("snapshot", fakeSnapshot()) },
    info: async () => info,
    listEnvVars: note("listEnvVars", { A: "1", GREETING: "it's me\n" }),
    setEnvVars: note("setEnvVars", ["A", "B"]),
    unsetEnvVars: note("unsetEnvVars", { A: "1" }),
    sshConfig: note("sshConfig", `Host ${info.name}\n  Port 2222\n`),
    fork: async (options: { count?: number; name?: string }): Promise<object[]> => {
      calls.push(["fork", info.name, options]);
      const { count = 1, name = "copy" } = options;
      return Array.from({ length: count }, (_, at) =>
        openFake(fakeInfo({ name: `${name}-${at + 1}` }), fake),
      );
    },
    async *logs(options: object) {
      calls.push(["logs", info.name, options]);
      yield* ["one", "\u001b[31mtwo\u001b[2J"];
    },
    [Symbol.asyncDispose]: note("close"),
    ...more,
  };
}

/** What a command line prints, and what it does with those machines. */
export async function performWith(
  { api, calls }: ReturnType<typeof fakeMachines>,
  argv: readonly string[],
  options: Parameters<typeof fakeIo>[1] & { readonly env?: Record<string, string> } = {},
) {
  const io = Object.assign(fakeIo(api, options), { env: options.env ?? {} });
  const status = await runCli(argv, io);
  return {
    status,
    out: io.out(),
    err: io.err(),
    calls: calls.filter(([verb]) => verb !== "close"),
    all: calls,
  };
}

function fakeSnapshot() {
  return {
    name: "before",
    createdAt: "2025-01-02T00:00:00.000Z",
    sourceName: "web",
    ...SHAPE,
    pauseMs: 50,
    sizeBytes: 90 * 1024 ** 2,
    accelerator: "tcg",
    qemuVersion: "7.2.0",
  };
}
