import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { ImageError } from "../../../src/errors.ts";
import { ensureImage, type GuestTask } from "../../../src/image/images.ts";
import { decodeTar } from "../../../src/image/tar.ts";
import { fakeGuest, useImageBuilds } from "../../support/image-builds.ts";

const builds = useImageBuilds();

describe("the image tiny", () => {
  it("is made of the kernel and an initramfs, and is there the second time without the network", async () => {
    const image = await ensureImage("tiny", builds.options());
    expect(image).toMatchObject({
      rootfs: null,
      manifest: { name: "tiny", arch: "x86_64", rootfsBytes: null },
    });
    expect(image.manifest.kernelVersion).toBe("9.9-cloud-amd64");
    expect(image.manifest.packages.map(({ name }) => name)).toEqual([
      "busybox-static",
      "dropbear-bin",
      "inotify-tools",
      "libc6",
      "linux-image-9.9-cloud-amd64",
      "openssh-sftp-server",
    ]);
    expect(await readFile(image.kernel, "latin1")).toBe("\x7fELF kernel");
    const initramfs = await readFile(image.initramfs, "latin1");
    for (const path of [
      "init",
      "usr/sbin/dropbear",
      "usr/lib/openssh/sftp-server",
      "image/usr/bin/zcat",
      "smolvm/modules/net/1-virtio_net.ko",
      "image/etc/profile",
    ]) {
      expect(initramfs).toContain(`${path}\0`);
    }
    builds.mirror.requests.length = 0;
    expect(await ensureImage("tiny", builds.options({ onProgress: () => expect.unreachable() }))).toEqual(
      image,
    );
    expect(builds.mirror.requests).toEqual([]);
  });

  it("leaves nothing but the image and the downloads", async () => {
    const image = await ensureImage("tiny", builds.options());
    expect(await readdir(builds.state.images)).toEqual([basename(dirname(image.kernel))]);
    expect((await readdir(dirname(image.kernel))).sort()).toEqual([
      "image.json",
      "initramfs.cpio",
      "vmlinux",
    ]);
    expect((await readdir(builds.state.downloads)).every((name) => /^[0-9a-f]{64}$/.test(name))).toBe(true);
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
    const image = await ensureImage("debian", builds.options({ runGuest }));
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
    await ensureImage("debian", builds.options({ runGuest: fakeGuest }));
    const phases = [...new Set(builds.progress.map(({ phase }) => phase))];
    expect(phases).toEqual(["index", "download", "kernel", "build", "publish"]);
    const last = builds.progress.filter(({ phase }) => phase === "download").at(-1);
    expect(last?.done).toBe(last?.total);
    expect(builds.progress).toContainEqual({ phase: "build", message: "Making the file system" });
    expect(builds.progress).toContainEqual(expect.objectContaining({ phase: "build", done: 1, total: 9 }));
  });

  it("is not there when its guest failed; the guest's error is passed on", async () => {
    const runGuest = async () => {
      throw new ImageError("the guest said: smolvm: failed: no");
    };
    await expect(ensureImage("debian", builds.options({ runGuest }))).rejects.toThrow("the guest said");
    expect(await readdir(builds.state.images)).toEqual([]);
  });
});

describe("an archive that can't be trusted", () => {
  it("whose signature is somebody else's gives no image, and nothing is kept", async () => {
    const error = await ensureImage("tiny", { ...builds.options(), archiveKeys: undefined as never }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({
      code: "IMAGE",
      message: expect.stringContaining("not signed by Debian's archive keys"),
    });
    expect(await readdir(builds.state.images)).toEqual([]);
    expect(await readdir(builds.state.downloads).catch(() => [])).toEqual([]);
  });

  it.each([
    ["its index", (path: string) => path.endsWith("Packages.gz")],
    ["a package", (path: string) => path.startsWith("pool/dropbear")],
  ])("with a changed byte in %s gives no image, and that file is not kept", async (_, isIt) => {
    const [path = "", content = Buffer.alloc(0)] =
      [...builds.mirror.files].find(([name]) => isIt(name)) ?? [];
    const changed = Buffer.from(content);
    changed.writeUInt8((changed.at(-9) ?? 0) ^ 1, changed.length - 9);
    builds.mirror.files.set(path, changed);
    try {
      await expect(ensureImage("tiny", builds.options())).rejects.toThrow(
        /refused: its SHA-256 is not the one/,
      );
      expect(await readdir(builds.state.images)).toEqual([]);
      // Of others that were on their way a part may be kept, to be continued.
      const wanted = createHash("sha256").update(content).digest("hex");
      expect((await readdir(builds.state.downloads)).some((name) => name.startsWith(wanted))).toBe(false);
    } finally {
      builds.mirror.files.set(path, content);
    }
    await ensureImage("tiny", builds.options());
  });
});
