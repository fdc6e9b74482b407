import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { CommandFailedError, SmolVMError } from "../../../src/errors.ts";
import { buildImage, deleteImage, inspectImage, SmolVM, SmolVMPool } from "../../../src/index.ts";
import { Run } from "../../../src/sandbox/command/run.ts";
import { commandResult } from "../../support/fake-commands.ts";

const ODD: readonly (readonly [what: string, value: unknown])[] = [
  ["null", null],
  ["a number", 7],
  ["a text that is no name", "No Such!"],
  ["a symbol", Symbol("x")],
  ["a function", () => {}],
  ["an array", [1]],
  ["an unknown key", { nope: 1 }],
  ["null for what is a text", { name: null, image: null, shell: null }],
  ["a symbol for what is a number", { memSizeMib: Symbol("x"), size: Symbol("x"), timeout: Symbol("x") }],
  ["a number for what is a map", { env: 1, labels: 1 }],
  ["null for what is a list", { ports: null, size: 1 }],
  ["null for what is called", { logger: null, onProgress: null, size: 1 }],
  ["a list of null", { ports: [null], size: 1 }],
];

type Call = (value: unknown) => unknown;
const run = (command: unknown, options?: unknown) =>
  new Run(() => Promise.reject(new Error("sent")), command as string, options as object);
const CALLS: Readonly<Record<string, Call>> = {
  "new SmolVM": (value) => new SmolVM(value as object),
  "new SmolVMPool": (value) => new SmolVMPool(value as never),
  "SmolVM.get": (value) => SmolVM.get(value as string),
  "SmolVM.list": (value) => SmolVM.list(value as object),
  "SmolVM.restore": (value) => SmolVM.restore(value as string),
  "SmolVM.restore's options": (value) => SmolVM.restore("x", value as object),
  "SmolVM.deleteSnapshot": (value) => SmolVM.deleteSnapshot(value as string),
  buildImage: (value) => buildImage(value as string),
  "buildImage's options": (value) => buildImage("tiny", value as object),
  inspectImage: (value) => inspectImage(value as string),
  deleteImage: (value) => deleteImage(value as string),
  "run's command": (value) => (Array.isArray(value) || typeof value !== "string" ? run(value) : run("")),
  "run's options": (value) => run("x", value),
  start: (value) => new SmolVM().start(value as object),
  fork: (value) => new SmolVM().fork(value as object),
  snapshot: (value) => new SmolVM().snapshot(value as string),
  setEnvVars: (value) => new SmolVM().setEnvVars(value as object as Record<string, string>),
};

describe("odd arguments", () => {
  it.each(Object.keys(CALLS))("%s refuses them as a SmolVMError", async (name) => {
    for (const [what, value] of ODD) {
      const error = await (async () => CALLS[name]?.(value))().then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error, `${what}: ${(error as Error)?.stack}`).toBeInstanceOf(SmolVMError);
    }
  });
});

describe("what is shown", () => {
  it("console.log of a machine names it, and none of its variables", () => {
    const vm = new SmolVM({ name: "web", env: { TOKEN: "hunter2" } });
    expect(inspect(vm)).toBe(`SmolVM { id: "${vm.id}", name: "web", status: "created", image: "debian" }`);
    expect(inspect({ vm })).not.toContain("hunter2");
  });

  it("a failed command's message ends with its last words", () => {
    const result = { ...commandResult, exitCode: 3, ok: false };
    expect(new CommandFailedError(result, { lastWords: "no such file" }).message).toBe(
      "The command ended with exit code 3: no such file",
    );
    expect(new CommandFailedError(result).message).toBe("The command ended with exit code 3");
  });
});
