import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OperationAbortedError } from "../../../src/errors.ts";
import { tryLock } from "../../../src/host/lock.ts";
import type { Image } from "../../../src/image/images.ts";
import type { Progress } from "../../../src/image/progress.ts";
import { filesOfImage } from "../../../src/sandbox/boot/boot-files.ts";
import type { Setup } from "../../../src/sandbox/machine/boot-setup.ts";
import { parseSpec } from "../../../src/sandbox/machine/spec.ts";
import { makeTemplate, type TemplatePlan } from "../../../src/sandbox/template/make-template.ts";
import { obtainTemplate } from "../../../src/sandbox/template/obtain-template.ts";
import { deleteImage } from "../../../src/sandbox/upkeep/images.ts";
import { type StatePaths, templatePaths } from "../../../src/state/paths.ts";
import {
  discardTemplate,
  findTemplate,
  openTemplateDraft,
  publishTemplate,
  type Template,
} from "../../../src/state/templates.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

vi.mock("../../../src/sandbox/template/make-template.ts");

let home: StateFolder;
let state: StatePaths;
beforeEach(async () => {
  home = await useStateFolder();
  state = home.state;
  vi.mocked(makeTemplate).mockImplementation(publish);
});
afterEach(() => home[Symbol.asyncDispose]());

/** As far as its files go: no guest is ever started. */
async function publish({ key, inputs, setup }: TemplatePlan): Promise<Template> {
  const draft = await openTemplateDraft(state, key);
  await Promise.all([draft.memory, draft.state, draft.disk].map((path) => writeFile(path, "saved")));
  const { name = "", digest = "" } = setup.files.image ?? {};
  return publishTemplate(state, draft, {
    ...{ key, inputs, image: { name, digest } },
    ...{ hostKey: "ssh-ed25519 AAAA", shell: null },
  });
}

const features = {
  ...{ version: "7.2", accelerators: ["tcg"], sandbox: true, exitWithParent: false },
  ...{ vmgenid: true, cloning: true },
} as const;

function obtain(
  image: Image,
  warn = fail,
  onProgress: (progress: Progress) => void = () => {},
): Promise<Template | { readonly whyCold: string }> {
  const setup = {
    files: filesOfImage(image, "x86_64"),
    key: { path: "/keys/id", privateKey: "secret", publicLine: "ssh-ed25519 AAAA me" },
    choice: { accelerator: "tcg", reason: "", candidates: [] },
    qemu: { arch: "x86_64", path: "/usr/bin/qemu-system-x86_64", features },
  } as unknown as Setup;
  const { signal } = new AbortController();
  const context = { signal, timeoutMs: 120_000, sinceMs: performance.now(), onProgress };
  return obtainTemplate(parseSpec({ image: image.manifest.name }), state, setup, context, warn);
}

function fail(message: string): void {
  throw new Error(message);
}

async function templateOf(image: Image): Promise<Template> {
  const obtained = await obtain(image);
  if ("whyCold" in obtained) throw new Error(obtained.whyCold);
  return obtained;
}

const stored = () => readdirSync(state.templates).sort();

describe("a template whose image is built again, of other packages,", () => {
  it("stays for its own image alone: on the new one nothing starts from it", async () => {
    const [old, tiny] = [await storeImage(state, "debian", "1"), await storeImage(state, "tiny", "3")];
    const [ofOld, ofTiny] = [await templateOf(old), await templateOf(tiny)];
    const ofNew = await templateOf(await storeImage(state, "debian", "2"));
    expect(ofNew.record).toMatchObject({ image: { name: "debian", digest: "2".repeat(64) } });
    expect(await templateOf(old)).toEqual(ofOld);
    expect(stored()).toEqual([ofOld, ofNew, ofTiny].map(({ record }) => record.key).sort());
    expect(makeTemplate).toHaveBeenCalledTimes(3);
  });
});

describe("the templates of an image that is removed", () => {
  it("go with it, those of older ones of its name too, and no other's", async () => {
    const images = [await storeImage(state, "debian", "1"), await storeImage(state, "debian", "2")];
    for (const image of images) await templateOf(image);
    const kept = await templateOf(await storeImage(state, "tiny", "3"));
    await deleteImage("debian");
    expect(stored()).toEqual([kept.record.key]);
    // The very same again, as the same packages give it: it is made again.
    vi.mocked(makeTemplate).mockClear();
    await templateOf(await storeImage(state, "debian", "1"));
    expect(makeTemplate).toHaveBeenCalledOnce();
  });

  it("do so though one of them is just being made, and the machine that waits for it is told", async () => {
    const image = await storeImage(state, "debian", "1");
    vi.mocked(makeTemplate).mockImplementation(async (plan) => {
      await deleteImage("debian");
      return publish(plan);
    });
    expect(await obtain(image)).toEqual({ whyCold: expect.stringContaining("its image was removed") });
    expect(stored()).toEqual([]);
    vi.mocked(makeTemplate).mockImplementation(publish);
    const again = await templateOf(await storeImage(state, "debian", "1")); // at once: nothing was wrong with it
    expect(await findTemplate(state, again.record.key)).toEqual(again);
  });
});

it("a template is told of while it is made, and while another process makes it", async () => {
  const image = await storeImage(state, "tiny", "6");
  const told: string[] = [];
  let release = async () => {};
  const tell = ({ message }: Progress) => {
    told.push(message);
    void release();
  };
  const made = await obtain(image, fail, tell);
  expect(told).toEqual(["Saving a template from which machines like this one start"]);
  const { key } = (made as Template).record;
  await discardTemplate(state, key);
  release = (await tryLock(templatePaths(state, key).lock)) ?? release;
  await obtain(image, fail, tell);
  expect(told[1]).toBe("Waiting for another process to make the template");
});

describe("a template whose making takes long", () => {
  it("is given up after half of the time, so that the machine can boot, and not tried again at once", async () => {
    const image = await storeImage(state, "tiny", "7");
    let begin = () => {};
    const isBegun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    vi.mocked(makeTemplate).mockImplementation((_plan, { signal }) => {
      begin();
      return new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new OperationAbortedError("Starting QEMU")));
      });
    });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const obtaining = obtain(image, () => {});
      await isBegun;
      await vi.advanceTimersByTimeAsync(61_000);
      expect(await obtaining).toEqual({
        whyCold: "making the template failed: Making the template did not finish within 60 s",
      });
      vi.mocked(makeTemplate).mockClear();
      expect(await obtain(image)).toEqual({
        whyCold: "there is no template yet, and making one failed a short while ago",
      });
      expect(makeTemplate).not.toHaveBeenCalled();
    } finally {
      vi.useRealTimers();
    }
  });
});
