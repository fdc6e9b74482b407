import { mkdir, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { ImageError, OperationAbortedError } from "../../../src/errors.ts";
import {
  deleteImage,
  ensureImage,
  type GuestTask,
  inspectImage,
  listImages,
} from "../../../src/image/images.ts";
import { fakeGuest, useImageBuilds } from "../../support/image-builds.ts";

const builds = useImageBuilds();

describe("the image cache", () => {
  it("makes an image once where two ask for it at the same time", async () => {
    let guests = 0;
    const runGuest = async (task: GuestTask) => {
      guests += 1;
      await fakeGuest(task);
    };
    const [one, two] = await Promise.all([
      ensureImage("debian", builds.options({ runGuest })),
      ensureImage("debian", builds.options({ runGuest })),
    ]);
    expect(one).toEqual(two);
    expect(guests).toBe(1);
    expect(builds.progress).toContainEqual({
      phase: "wait",
      message: expect.stringContaining(`process ${process.pid}`),
    });
  });

  it.each([
    [
      "a file that is cut short",
      (folder: string) => truncate(join(folder, "vmlinux"), 3),
      "vmlinux: it has 3 bytes instead of",
    ],
    [
      "a missing file",
      (folder: string) => rm(join(folder, "initramfs.cpio")),
      "initramfs.cpio: it is missing",
    ],
    [
      "a bad manifest",
      (folder: string) => writeFile(join(folder, "image.json"), "{}"),
      "has a bad formatVersion",
    ],
    ["no manifest", (folder: string) => rm(join(folder, "image.json")), "image.json: it is missing"],
  ])("names an image with %s, puts it aside and makes it again", async (_, damage, reason) => {
    const image = await ensureImage("tiny", builds.options());
    const folder = dirname(image.kernel);
    await damage(folder);
    builds.progress = [];
    const again = await ensureImage("tiny", builds.options());
    expect(again.kernel).toBe(image.kernel);
    expect(await readFile(again.kernel, "latin1")).toBe("\x7fELF kernel");
    expect(builds.progress[0]?.message).toContain(folder);
    expect(builds.progress[0]?.message).toContain(reason);
    const aside = (await readdir(builds.state.images)).filter((name) => name.startsWith(".damaged-tiny-"));
    expect(aside).toHaveLength(1);
    expect(builds.progress[0]?.message).toContain(aside[0]);
  });

  it("asks for newer packages only when told to, keeps the older image, and lists the newest first", async () => {
    const first = await ensureImage("tiny", builds.options());
    expect(await ensureImage("tiny", builds.options({ rebuild: true }))).toEqual(first);
    await builds.mirror.publish("busybox-static", "2.0", "", {
      "usr/bin/busybox": { data: "new[\0[[\0cat\0sh\0\0" },
    });
    expect(await ensureImage("tiny", builds.options())).toEqual(first);
    const second = await ensureImage("tiny", builds.options({ rebuild: true }));
    expect(second.manifest.digest).not.toBe(first.manifest.digest);
    expect((await stat(first.kernel)).isFile()).toBe(true);
    expect(await ensureImage("tiny", builds.options())).toEqual(second);
    expect((await listImages(builds.state)).map(({ kernel }) => kernel)).toEqual([
      second.kernel,
      first.kernel,
    ]);
    expect(await inspectImage(builds.state, "tiny")).toEqual(second);
  });

  it("removes what a dead build left, and continues its downloads", async () => {
    const image = await ensureImage("tiny", builds.options());
    const [name = ""] = await readdir(builds.state.downloads);
    const content = await readFile(join(builds.state.downloads, name));
    await rm(builds.state.downloads, { recursive: true });
    await deleteImage(builds.state, "tiny");
    await mkdir(join(builds.state.images, ".draft-tiny-x86_64-dead"), { recursive: true });
    await mkdir(builds.state.downloads, { recursive: true });
    await writeFile(
      join(builds.state.downloads, `${name}.999999999-dead0000.part`),
      content.subarray(0, content.length - 1),
    );
    expect(await ensureImage("tiny", builds.options())).toMatchObject({ kernel: image.kernel });
    expect(await readdir(builds.state.images)).toEqual([basename(dirname(image.kernel))]);
    expect((await readdir(builds.state.downloads)).filter((file) => file.includes("part"))).toEqual([]);
  });

  it("an abort ends the build, and nothing is left", async () => {
    const abort = new AbortController();
    const runGuest = (task: GuestTask) =>
      new Promise<void>((_, reject) => {
        task.signal?.addEventListener("abort", () => reject(new OperationAbortedError("The builder guest")));
        abort.abort();
      });
    await expect(
      ensureImage("debian", builds.options({ runGuest, signal: abort.signal })),
    ).rejects.toBeInstanceOf(OperationAbortedError);
    expect(await readdir(builds.state.images)).toEqual([]);
    const early = builds.options({ signal: AbortSignal.abort() });
    await expect(ensureImage("tiny", early)).rejects.toBeInstanceOf(OperationAbortedError);
  });

  it("lists, shows and removes images by name; an unknown name is told", async () => {
    expect(await listImages(builds.state)).toEqual([]);
    await ensureImage("tiny", builds.options());
    await expect(inspectImage(builds.state, "tony")).rejects.toThrow(/no image "tony".*did you mean "tiny"/);
    await expect(deleteImage(builds.state, "debian")).rejects.toBeInstanceOf(ImageError);
    await deleteImage(builds.state, "tiny");
    expect(await listImages(builds.state)).toEqual([]);
    expect(await readdir(builds.state.images)).toEqual([]);
  });

  it("whose folder can't be written is named", async () => {
    await writeFile(join(builds.home, "images"), "a file where a folder should be");
    await expect(ensureImage("tiny", builds.options())).rejects.toMatchObject({
      message: expect.stringContaining("images"),
    });
  });
});
