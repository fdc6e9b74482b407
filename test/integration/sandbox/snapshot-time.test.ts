import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OperationAbortedError, OperationTimeoutError } from "../../../src/errors.ts";
import { newMachine } from "../../../src/sandbox/holder/new-machine.ts";
import type { CopyOptions } from "../../../src/sandbox/machine/handle.ts";
import type { CopyCallOptions } from "../../../src/sandbox/machine/options.ts";
import { parseSpec } from "../../../src/sandbox/machine/spec.ts";
import { copyMachine } from "../../../src/sandbox/snapshot/copy.ts";
import { snapshotMachine } from "../../../src/sandbox/snapshot/snapshots.ts";
import { openSnapshotDraft } from "../../../src/state/snapshots.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

vi.mock("../../../src/sandbox/snapshot/copy.ts");

let folder: StateFolder;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

/** What a snapshot fails with whose copy is whole, but only when it is given up. */
async function failureOf(options: CopyCallOptions, onCopy = () => {}): Promise<unknown> {
  vi.mocked(copyMachine).mockImplementation(async (_machine, _verb, { signal }: CopyOptions) => {
    const paths = await openSnapshotDraft(folder.state);
    for (const path of [paths.memory, paths.state]) await writeFile(path, "saved");
    onCopy();
    if (!signal?.aborted) await new Promise((resolve) => signal?.addEventListener("abort", resolve));
    return { paths, facts: {}, record: null } as never;
  });
  return snapshotMachine(newMachine(parseSpec({ name: "box" }), {}, null), "one", options).catch(
    (error) => error,
  );
}

describe("a snapshot that is given up while it is written down", () => {
  afterEach(() => expect(readdirSync(folder.state.snapshots)).toEqual([]));

  it("for want of time is an error that names all of that, and leaves nothing", async () => {
    const error = await failureOf({ timeout: 0.2 });
    expect(error).toBeInstanceOf(OperationTimeoutError);
    expect(error).toMatchObject({
      message: 'Making a snapshot of machine "box" did not finish within 0.2 s',
    });
  });

  it("by its caller is an error that says so, and leaves nothing", async () => {
    const abort = new AbortController();
    const error = await failureOf({ signal: abort.signal }, () => abort.abort());
    expect(error).toBeInstanceOf(OperationAbortedError);
  });
});
