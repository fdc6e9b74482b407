import { describe, expect, it } from "vitest";
import type { Image } from "../../../src/image/images.ts";
import { trialGuestOf, trialGuestOfImage } from "../../../src/sandbox/boot/accelerator.ts";

const files = { kernel: "/images/vmlinux", initramfs: "/images/base.cpio" };
const image = { name: "tiny", digest: "abc", kernelVersion: "6.12" };

describe("the guest that an accelerator is tried with", () => {
  it("is the same, whether it is an image's or that of a machine of it", () => {
    const guest = trialGuestOf({ image, ...files });
    expect(guest).toMatchObject({ ...files, digest: "6.12" });
    expect(guest.bootArgs).toMatch(/ smolvm\.task=trial$/);
    expect(trialGuestOfImage({ ...files, rootfs: null, manifest: image } as unknown as Image)).toEqual(guest);
  });

  it("is known by its image where nobody has written down its kernel's version", () => {
    expect(trialGuestOf({ image: { ...image, kernelVersion: null }, ...files }).digest).toBe("abc");
  });
});
