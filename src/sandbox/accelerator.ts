import { hostArch } from "../host/platform.ts";
import { type Image, inspectImage } from "../image/images.ts";
import { type AcceleratorChoice, chooseAccelerator } from "../qemu/accelerator.ts";
import type { TrialGuest } from "../qemu/trial.ts";
import type { StatePaths } from "../state/paths.ts";
import { imageBootArgs } from "./boot-args.ts";
import type { MachineSpec } from "./spec.ts";

export type { AcceleratorChoice };

/** The accelerator for a machine: found by trying, with the kernel of its image, or of "tiny" where it brings its own. */
export async function acceleratorFor(
  { accelerator: requested, source }: MachineSpec,
  state: StatePaths,
  imageOf: (name: string) => Promise<Image>,
  signal?: AbortSignal,
): Promise<AcceleratorChoice> {
  const name = source.kind === "image" ? source.name : "tiny";
  const trialGuest = async () => asTrialGuest(await imageOf(name));
  return chooseAccelerator({ requested, arch: hostArch(), state, trialGuest, signal });
}

/** The same for a report: where no image is there yet, none is built for it. */
export async function judgeAccelerators(state: StatePaths): Promise<AcceleratorChoice> {
  const trialGuest = async () => {
    const image = await inspectImage(state, "tiny").catch(() => inspectImage(state, "debian"));
    return asTrialGuest(image);
  };
  return chooseAccelerator({ requested: "auto", arch: hostArch(), state, trialGuest });
}

/** Any image of ours has an initramfs that can say that it is up. */
function asTrialGuest({ kernel, initramfs, manifest }: Image): TrialGuest {
  const bootArgs = `${imageBootArgs(manifest.arch, false)} smolvm.task=trial`;
  return { kernel, initramfs, bootArgs, digest: manifest.kernelVersion };
}
