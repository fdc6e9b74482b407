// A program that uses the library and does what it is told, a line of JSON each on stdin: { id, verb, args }. It answers on stdout with
// { id, value } or { id, error }, and ends when its stdin does. Its clock can be made to jump.
import { createInterface } from "node:readline";
import { prune, SmolVM } from "../../dist/index.js";

// What holds a machine is started in the same way: see fault-shim.mjs.
process.execPath = process.env.SMOLVM_FAULT_NODE ?? process.execPath;

/** Those that were made here, and what was asked for by name: as a program would keep them. */
const kept = new Map();
const snapshots = { list: () => SmolVM.listSnapshots(), delete: (name) => SmolVM.deleteSnapshot(name) };

async function machine(name) {
  return kept.get(name) ?? (await SmolVM.get(name));
}

async function keep(making) {
  const vm = await making;
  kept.set(vm.name, vm);
  return vm.status;
}

/** By a new handle each time, as another program would. */
async function withFresh(name, use) {
  const vm = await SmolVM.get(name);
  try {
    return await use(vm);
  } finally {
    if (!kept.has(name)) await vm[Symbol.asyncDispose]();
  }
}

const verbs = {
  create: (options) => keep(SmolVM.create(options)),
  restore: (snapshot, options) => keep(SmolVM.restore(snapshot, options)),
  async fork(name, options) {
    const forks = await (await machine(name)).fork(options);
    for (const fork of forks) kept.set(fork.name, fork);
  },
  start: async (name) => (await machine(name)).start().then(({ status }) => status),
  stop: async (name) => (await machine(name)).stop(),
  pause: async (name) => (await machine(name)).pause(),
  resume: async (name) => (await machine(name)).resume(),
  snapshot: async (name, snapshot) => (await machine(name)).snapshot(snapshot),
  run: async (name, command) =>
    (await machine(name)).run(command, { check: true, shell: "raw" }).then(({ output }) => output),
  async delete(name) {
    await (await machine(name)).delete();
    kept.delete(name);
  },
  /** What the handle says that was kept, once it has looked; "none" where there is none. */
  async status(name) {
    const vm = kept.get(name);
    await vm?.info();
    return vm?.status ?? "none";
  },
  info: (name) => withFresh(name, (vm) => vm.info()),
  look: (name) => withFresh(name, async ({ status }) => status),
  forget: async (name) => void kept.delete(name),
  list: () => SmolVM.list(),
  listSnapshots: snapshots.list,
  deleteSnapshot: snapshots.delete,
  prune: () => prune(),
  jump: async (days) => jump(days),
};

/** Every clock that can be set goes on from another day. */
function jump(days) {
  const Ordinary = globalThis.Date;
  const offsetMs = days * 86_400_000;
  globalThis.Date = class extends Ordinary {
    constructor(...parts) {
      super(...(parts.length === 0 ? [Ordinary.now() + offsetMs] : parts));
    }
    static now() {
      return Ordinary.now() + offsetMs;
    }
  };
}

async function answer({ id, verb, args }) {
  try {
    return { id, value: (await verbs[verb](...args)) ?? null };
  } catch (error) {
    const { name, code, message, stack } = error;
    return { id, error: { name, code, message, stack, isOurs: typeof error.details === "object" } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  void answer(JSON.parse(line)).then((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`));
}
process.exit();
