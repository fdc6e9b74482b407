import { describe, expect, it } from "vitest";
import * as classes from "../../../src/errors.ts";
import { decodeError, encodeError } from "../../../src/sandbox/remote/errors.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

const MORE = { remediation: "do that", details: { option: "x", given: [1, null] } };
const PRINTED = { stdout: "out", stderr: "err" };
const RESULT: classes.CommandResult = {
  ...{ command: ["a", "b"], exitCode: 3, signal: null, ...PRINTED, ok: false, output: "out" },
  ...{ stdoutBytes: Buffer.from("out"), stderrBytes: Buffer.from("err"), durationMs: 1.5 },
  truncated: { stdout: false, stderr: true },
  timing: { queueMs: 0, connectMs: 1, firstByteMs: 2 },
};

/** One of each class. */
const ERRORS: Readonly<Record<string, classes.SmolVMError>> = {
  SmolVMError: new classes.SmolVMError("SNAPSHOT_DAMAGED", "It is damaged.", MORE),
  ValidationError: new classes.ValidationError("x is wrong.", MORE),
  VMNotFoundError: new classes.VMNotFoundError("There is none.", MORE),
  VMAlreadyExistsError: new classes.VMAlreadyExistsError("There is one.", MORE),
  VMStateError: new classes.VMStateError("It is stopped.", MORE),
  HostError: new classes.HostError("QEMU is missing.", MORE),
  ImageError: new classes.ImageError("The image is bad.", MORE),
  BootError: new classes.BootError(
    "It did not start.",
    { commandLine: "qemu -x 'a b'", qemuOutput: "bad\n", consoleTail: "panic\u0000ü" },
    MORE,
  ),
  NetworkError: new classes.NetworkError("It is refused.", MORE),
  PortInUseError: new classes.PortInUseError("It is taken."),
  CommandExecutionUnavailableError: new classes.CommandExecutionUnavailableError("vm-1", "it is off.", "do", {
    vmName: "box",
  }),
  CommandOutcomeUnknownError: new classes.CommandOutcomeUnknownError("Who knows.", PRINTED, MORE),
  OperationTimeoutError: new classes.OperationTimeoutError("Starting", 0.5, PRINTED, MORE),
  OperationAbortedError: new classes.OperationAbortedError("Starting", PRINTED, { cause: new Error("why") }),
  CommandFailedError: new classes.CommandFailedError(RESULT, MORE),
  SnapshotNotFoundError: new classes.SnapshotNotFoundError("There is none."),
  SnapshotAlreadyExistsError: new classes.SnapshotAlreadyExistsError("There is one."),
  FileTransferError: new classes.FileTransferError("No space.", MORE),
};

const sent = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** All that an error says for itself, apart from where it was made and what JSON has no word for. */
function factsOf(error: classes.SmolVMError): unknown {
  const {
    stack: _,
    cause: __,
    ...facts
  } = Object.fromEntries(Object.getOwnPropertyNames(error).map((key) => [key, Reflect.get(error, key)]));
  return sent(facts);
}

describe("an error that goes to another process", () => {
  it("is tested for every class", () => {
    expect(Object.keys(ERRORS).sort()).toEqual(Object.keys(classes).sort());
  });

  it.each(Object.entries(ERRORS))("%s is of the same class there, and says the same", (name, error) => {
    const received = decodeError(sent(encodeError(error)));
    expect(received.constructor.name).toBe(name);
    expect(received).toBeInstanceOf(error.constructor);
    expect(received).toBeInstanceOf(Error);
    expect(factsOf(received)).toEqual(factsOf(error));
    expect(String(received)).toBe(String(error));
    expect(received.stack).toContain(received.message);
  });

  it("without a remediation has none there", () => {
    expect(decodeError(sent(encodeError(ERRORS.PortInUseError))).remediation).toBeUndefined();
  });

  it.each([
    [new TypeError("x is not a function"), "TypeError: x is not a function"],
    ["a text", "a text"],
    [undefined, "undefined"],
    [null, "null"],
  ])("that is none of ours (%s) is told of as it is", (thrown, text) => {
    const received = decodeError(sent(encodeError(thrown)));
    expect(received.code).toBe("INTERNAL");
    expect(received.message).toContain(text);
  });

  it("of a class that only the other version knows keeps its name and code", () => {
    const received = decodeError({ name: "NewError", code: "NEW", message: "m", facts: { more: 1 } });
    expect(received).toBeInstanceOf(classes.SmolVMError);
    expect(received).toMatchObject({ name: "NewError", code: "NEW", message: "m", more: 1 });
  });

  it("that can't be read is an error that says so", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const junk = [
      undefined,
      null,
      1,
      "x",
      [],
      {},
      { name: 1 },
      { name: "VMStateError", code: null, message: [] },
    ];
    for (let round = 0; round < 300; round++) {
      const part = () => junk[random(junk.length)];
      const value =
        random(2) === 0 ? part() : { name: part(), code: part(), message: part(), details: part() };
      const received = decodeError(value);
      expect(received, `seed ${seed}`).toBeInstanceOf(classes.SmolVMError);
      if (received.code === "INTERNAL") expect(received.message).toContain("can't be read");
    }
  });
});
