import { hostArch } from "../../host/platform.ts";
import { type Image, inspectImage } from "../../image/images.ts";
import { type AcceleratorChoice, chooseAccelerator } from "../../qemu/accelerator.ts";
import type { TrialGuest } from "../../qemu/trial.ts";
import type { StatePaths } from "../../state/paths.ts";
import { imageBootArgs } from "../machine/boot-args.ts";
import type { ImageIdentity } from "../machine/boot-setup.ts";
import type { MachineSpec } from "../machine/spec.ts";

/** The accelerator for a machine: found by trying, with a guest that is only asked for where there is something to try. */
export async function acceleratorFor(
  requested: MachineSpec["accelerator"],
  state: StatePaths,
  trialGuest: () => Promise<TrialGuest>,
  signal?: AbortSignal,
): Promise<AcceleratorChoice> {
  return chooseAccelerator({ requested, arch: hostArch(), state, trialGuest, signal });
}

/** The same for a report: where no image is there yet, none is built for it. */
export async function judgeAccelerators(state: StatePaths): Promise<AcceleratorChoice> {
  const trialGuest = async () => {
    const image = await inspectImage(state, "tiny").catch(() => inspectImage(state, "debian"));
    return trialGuestOfImage(image);
  };
  return chooseAccelerator({ requested: "auto", arch: hostArch(), state, trialGuest });
}

/** With a kernel and an initramfs of an image of ours: that can say that it is up. */
export function trialGuestOf({
  image,
  kernel,
  initramfs,
}: {
  readonly image: Pick<ImageIdentity, "digest" | "kernelVersion">;
  readonly kernel: string;
  readonly initramfs: string;
}): TrialGuest {
  const bootArgs = `${imageBootArgs(hostArch(), false)} smolvm.task=trial`;
  return { kernel, initramfs, bootArgs, digest: image.kernelVersion ?? image.digest };
}

export function trialGuestOfImage({ manifest, kernel, initramfs }: Image): TrialGuest {
  return trialGuestOf({ image: manifest, kernel, initramfs });
}
