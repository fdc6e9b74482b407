import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImageError, OperationAbortedError } from "../../../src/errors.ts";
import {
  deleteImage,
  type EnsureImageOptions,
  ensureImage,
  type GuestTask,
  inspectImage,
  listImages,
  type Progress,
} from "../../../src/image/images.ts";
import { decodeTar } from "../../../src/image/tar.ts";
import { type StatePaths, statePaths } from "../../../src/state/paths.ts";
import { type FakeMirror, startFakeMirror } from "../../support/fake-mirror.ts";

let mirror: FakeMirror;
let home = "";
let state: StatePaths;
let progress: Progress[] = [];

beforeAll(async () => {
  mirror = await startFakeMirror();
});
afterAll(() => mirror.close());
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "smolvm-image-"));
  state = statePaths({ SMOLVM_HOME: home });
  progress = [];
  mirror.requests.length = 0;
});
afterEach(() => rm(home, { recursive: true }));

const noGuest = async () => {
  throw new Error("no guest is needed for this");
};

function options(more: Partial<EnsureImageOptions> = {}): EnsureImageOptions {
  return {
    state,
    arch: "x86_64",
    mirror: mirror.url,
    archiveKeys: [mirror.publicKey],
    runGuest: noGuest,
    onProgress: (event) => progress.push(event),
    ...more,
  };
}

/** A guest that marks its disk and says what a real one says. */
async function fakeGuest({ disks, onLine }: GuestTask): Promise<void> {
  onLine("[    0.1] kernel words smolvm: progress Making the file system");
  onLine("Setting up base-files (1.0) ...");
  const disk = await open(disks[0]?.path ?? "", "r+");
  await disk.write("file system", 0).finally(() => disk.close());
  onLine("smolvm: done");
}

describe("the image tiny", () => {
  it("is made of the kernel and an initramfs, and is there the second time without the network", async () => {
    const image = await ensureImage("tiny", options());
    expect(image).toMatchObject({
      rootfs: null,
      manifest: { name: "tiny", arch: "x86_64", rootfsBytes: null },
    });
    expect(image.manifest.kernelVersion).toBe("9.9-cloud-amd64");
    expect(image.manifest.packages.map(({ name }) => name)).toEqual([
      "busybox-static",
      "dropbear-bin",
      "libc6",
      "linux-image-9.9-cloud-amd64",
    ]);
    expect(await readFile(image.kernel, "latin1")).toBe("\x7fELF kernel");
    const initramfs = await readFile(image.initramfs, "latin1");
    for (const path of [
      "init",
      "usr/sbin/dropbear",
      "usr/bin/zcat",
      "smolvm/modules/net/1-virtio_net.ko",
      "etc/profile",
    ]) {
      expect(initramfs).toContain(`${path}\0`);
    }
    mirror.requests.length = 0;
    expect(await ensureImage("tiny", options({ onProgress: () => expect.unreachable() }))).toEqual(image);
    expect(mirror.requests).toEqual([]);
  });

  it("leaves nothing but the image and the downloads", async () => {
    const image = await ensureImage("tiny", options());
    expect(await readdir(state.images)).toEqual([basename(dirname(image.kernel))]);
    expect((await readdir(dirname(image.kernel))).sort()).toEqual([
      "image.json",
      "initramfs.cpio",
      "vmlinux",
    ]);
    expect((await readdir(state.downloads)).every((name) => /^[0-9a-f]{64}$/.test(name))).toBe(true);
  });
});

describe("the image debian", () => {
  it("gets its file system from a guest, which is given the packages as one archive", async () => {
    let task: GuestTask | undefined;
    let paths: string[] = [];
    const runGuest = async (given: GuestTask) => {
      task = given;
      paths = (await decodeTar(await readFile(given.disks[1]?.path ?? ""))).map(({ path }) => path);
      await fakeGuest(given);
    };
    const image = await ensureImage("debian", options({ runGuest }));
    expect(task).toMatchObject({
      arch: "x86_64",
      bootArgs: expect.stringContaining("smolvm.task=build smolvm.arch=amd64"),
    });
    expect(task?.disks.map(({ readOnly }) => readOnly)).toEqual([false, true]);
    expect(paths).toEqual(
      expect.arrayContaining([
        "bin",
        "etc/issue",
        "etc/apt/sources.list.d/debian.sources",
        "var/lib/dpkg/status",
        "var/lib/dpkg/info/libc6:amd64.list",
      ]),
    );
    expect(paths).not.toContain("boot/vmlinuz-9.9");
    expect((await stat(image.rootfs ?? "")).size).toBe(image.manifest.rootfsBytes);
    expect((await readdir(dirname(image.kernel))).sort()).toEqual([
      "image.json",
      "initramfs.cpio",
      "rootfs.ext4",
      "vmlinux",
    ]);
  });

  it("tells how far it is", async () => {
    await ensureImage("debian", options({ runGuest: fakeGuest }));
    const phases = [...new Set(progress.map(({ phase }) => phase))];
    expect(phases).toEqual(["index", "download", "kernel", "build", "publish"]);
    const last = progress.filter(({ phase }) => phase === "download").at(-1);
    expect(last?.done).toBe(last?.total);
    expect(progress).toContainEqual({ phase: "build", message: "Making the file system" });
    expect(progress).toContainEqual(expect.objectContaining({ phase: "build", done: 1, total: 11 }));
  });

  it("is not there when its guest failed; the guest's error is passed on", async () => {
    const runGuest = async () => {
      throw new ImageError("the guest said: smolvm: failed: no");
    };
    await expect(ensureImage("debian", options({ runGuest }))).rejects.toThrow("the guest said");
    expect(await readdir(state.images)).toEqual([]);
  });
});

describe("an archive that can't be trusted", () => {
  it("whose signature is somebody else's gives no image, and nothing is kept", async () => {
    const error = await ensureImage("tiny", { ...options(), archiveKeys: undefined as never }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({
      code: "IMAGE",
      message: expect.stringContaining("not signed by Debian's archive keys"),
    });
    expect(await readdir(state.images)).toEqual([]);
    expect(await readdir(state.downloads).catch(() => [])).toEqual([]);
  });

  it.each([
    ["its index", (path: string) => path.endsWith("Packages.gz")],
    ["a package", (path: string) => path.startsWith("pool/dropbear")],
  ])("with a changed byte in %s gives no image, and that file is not kept", async (_, isIt) => {
    const [path = "", content = Buffer.alloc(0)] = [...mirror.files].find(([name]) => isIt(name)) ?? [];
    const changed = Buffer.from(content);
    changed.writeUInt8((changed.at(-9) ?? 0) ^ 1, changed.length - 9);
    mirror.files.set(path, changed);
    try {
      await expect(ensureImage("tiny", options())).rejects.toThrow(/refused: its SHA-256 is not the one/);
      expect(await readdir(state.images)).toEqual([]);
      expect((await readdir(state.downloads)).some((name) => name.includes("part"))).toBe(false);
    } finally {
      mirror.files.set(path, content);
    }
    await ensureImage("tiny", options());
  });
});

describe("the image cache", () => {
  it("makes an image once where two ask for it at the same time", async () => {
    let guests = 0;
    const runGuest = async (task: GuestTask) => {
      guests += 1;
      await fakeGuest(task);
    };
    const [one, two] = await Promise.all([
      ensureImage("debian", options({ runGuest })),
      ensureImage("debian", options({ runGuest })),
    ]);
    expect(one).toEqual(two);
    expect(guests).toBe(1);
    expect(progress).toContainEqual({
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
    ["no manifest", (folder: string) => rm(join(folder, "image.json")), "has a bad ENOENT"],
  ])("names an image with %s, puts it aside and makes it again", async (_, damage, reason) => {
    const image = await ensureImage("tiny", options());
    const folder = dirname(image.kernel);
    await damage(folder);
    progress = [];
    const again = await ensureImage("tiny", options());
    expect(again.kernel).toBe(image.kernel);
    expect(await readFile(again.kernel, "latin1")).toBe("\x7fELF kernel");
    expect(progress[0]?.message).toContain(folder);
    expect(progress[0]?.message).toContain(reason);
    const aside = (await readdir(state.images)).filter((name) => name.startsWith(".damaged-tiny-"));
    expect(aside).toHaveLength(1);
    expect(progress[0]?.message).toContain(aside[0]);
  });

  it("asks for newer packages only when told to, keeps the older image, and lists the newest first", async () => {
    const first = await ensureImage("tiny", options());
    expect(await ensureImage("tiny", options({ rebuild: true }))).toEqual(first);
    await mirror.publish("busybox-static", "2.0", "", {
      "usr/bin/busybox": { data: "new[\0[[\0cat\0sh\0\0" },
    });
    expect(await ensureImage("tiny", options())).toEqual(first);
    const second = await ensureImage("tiny", options({ rebuild: true }));
    expect(second.manifest.digest).not.toBe(first.manifest.digest);
    expect((await stat(first.kernel)).isFile()).toBe(true);
    expect(await ensureImage("tiny", options())).toEqual(second);
    expect((await listImages(state)).map(({ kernel }) => kernel)).toEqual([second.kernel, first.kernel]);
    expect(await inspectImage(state, "tiny")).toEqual(second);
  });

  it("removes what a dead build left, and continues its downloads", async () => {
    const image = await ensureImage("tiny", options());
    const [name = ""] = await readdir(state.downloads);
    const content = await readFile(join(state.downloads, name));
    await rm(state.downloads, { recursive: true });
    await deleteImage(state, "tiny");
    await mkdir(join(state.images, ".draft-tiny-x86_64-dead"), { recursive: true });
    await mkdir(state.downloads, { recursive: true });
    await writeFile(
      join(state.downloads, `${name}.999999999-dead0000.part`),
      content.subarray(0, content.length - 1),
    );
    expect(await ensureImage("tiny", options())).toMatchObject({ kernel: image.kernel });
    expect(await readdir(state.images)).toEqual([basename(dirname(image.kernel))]);
    expect((await readdir(state.downloads)).filter((file) => file.includes("part"))).toEqual([]);
  });

  it("an abort ends the build, and nothing is left", async () => {
    const abort = new AbortController();
    const runGuest = (task: GuestTask) =>
      new Promise<void>((_, reject) => {
        task.signal?.addEventListener("abort", () => reject(new OperationAbortedError("The builder guest")));
        abort.abort();
      });
    await expect(ensureImage("debian", options({ runGuest, signal: abort.signal }))).rejects.toBeInstanceOf(
      OperationAbortedError,
    );
    expect(await readdir(state.images)).toEqual([]);
    const early = options({ signal: AbortSignal.abort() });
    await expect(ensureImage("tiny", early)).rejects.toBeInstanceOf(OperationAbortedError);
  });

  it("lists, shows and removes images by name; an unknown name is told", async () => {
    expect(await listImages(state)).toEqual([]);
    await ensureImage("tiny", options());
    await expect(inspectImage(state, "tony")).rejects.toThrow(/no image "tony".*did you mean "tiny"/);
    await expect(deleteImage(state, "debian")).rejects.toBeInstanceOf(ImageError);
    await deleteImage(state, "tiny");
    expect(await listImages(state)).toEqual([]);
    expect(await readdir(state.images)).toEqual([]);
  });

  it("whose folder can't be written is named", async () => {
    await writeFile(join(home, "images"), "a file where a folder should be");
    await expect(ensureImage("tiny", options())).rejects.toMatchObject({
      message: expect.stringContaining("images"),
    });
  });
});
