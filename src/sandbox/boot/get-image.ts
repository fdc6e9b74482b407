import { ImageError } from "../../errors.ts";
import { hostArch } from "../../host/platform.ts";
import {
  type EnsureImageOptions,
  ensureImage,
  IMAGE_NAMES,
  type Image,
  type ImageName,
} from "../../image/images.ts";
import type { OnProgress } from "../../image/progress.ts";
import { runGuest } from "../../qemu/run-guest.ts";
import type { StatePaths } from "../../state/paths.ts";
import { nearestOf, refuse } from "../../util/options.ts";
import { imageBootArgs } from "../machine/boot-args.ts";

export interface BuildImageOptions {
  /** Builds again, from the packages the mirror has now. Default false. */
  rebuild?: boolean | undefined;
  /** The Debian mirror; default: `$SMOLVM_DEBIAN_MIRROR`, else the host's own, else Debian's. */
  mirror?: string | undefined;
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** The image, built where it is missing. ValidationError or ImageError where no image has that name. */
export async function getImage(
  state: StatePaths,
  name: unknown,
  options: BuildImageOptions & Pick<EnsureImageOptions, "untimed">,
): Promise<Image> {
  const { onProgress, signal, mirror, untimed, rebuild = false } = options;
  return ensureImage(imageName(name), {
    state,
    arch: hostArch(),
    // The builder guest always runs emulated: which accelerator works is only found out with an image.
    runGuest: ({ bootArgs, ...task }) =>
      runGuest(
        { ...task, bootArgs: `${imageBootArgs(task.arch, false)} ${bootArgs}` },
        { state, accelerator: "tcg" },
      ),
    rebuild,
    ...(mirror !== undefined && { mirror }),
    ...(untimed && { untimed }),
    onProgress,
    signal,
  });
}

/** Images are known by name until one can be built from a recipe of one's own. */
function imageName(name: unknown): ImageName {
  if (typeof name !== "string") throw refuse("name", name, "the name of an image");
  const found = IMAGE_NAMES.find((each) => each === name);
  if (found) return found;
  const nearest = nearestOf(name, IMAGE_NAMES);
  throw new ImageError(`There is no image "${name}"${nearest ? `; did you mean "${nearest}"?` : "."}`, {
    remediation: `Known images: ${IMAGE_NAMES.join(", ")}.`,
    details: { name, known: IMAGE_NAMES },
  });
}
