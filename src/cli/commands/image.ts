import type { CommandGroup, CommandSpec, Context } from "../command.ts";
import { doEach } from "../each.ts";
import { describeProgress } from "../progress.ts";
import { formatBytes, formatFields, formatTable } from "../text.ts";

const build: CommandSpec<{ readonly rebuild?: boolean }> = {
  summary: "build an image, or say that it is there",
  operands: [["[name]", "debian (default) or tiny", "image"]],
  flags: [{ flags: "--rebuild", description: "build it again, from the packages the mirror has now" }],
  examples: [
    ["smolvm image build", "the image that machines start from by default"],
    ["smolvm image build tiny", "busybox alone, in memory, without a disk"],
  ],
  async act([name = "debian"], { rebuild = false }, { api, signal, progress }) {
    const image = await api.buildImage(name, {
      rebuild,
      signal,
      onProgress: (event) => progress.show(describeProgress(event)),
    });
    return { document: { image }, text: formatImage(image) };
  },
};

const ls: CommandSpec = {
  summary: "list the images on this host",
  examples: [
    ["smolvm image ls", "the newest first"],
    [
      "smolvm image ls --json | jq -r '.images[] | select(.current) | .digest'",
      "for programs: what new machines start from",
    ],
  ],
  notes: `New machines start from the image that is CURRENT. Machines and snapshots that were made from another
one keep what they need. If no image of a name is current, the next machine builds one.`,
  async act(_operands, _flags, { api }) {
    const images = await api.listImages();
    const rows = images.map((image) => [
      image.name,
      image.arch,
      image.current ? "yes" : "no",
      image.createdAt,
      formatBytes(image.sizeBytes),
    ]);
    return { document: { images }, text: formatTable(["NAME", "ARCH", "CURRENT", "CREATED", "SIZE"], rows) };
  },
};

const inspect: CommandSpec = {
  summary: "show what an image is made of and where its files are",
  operands: [["<name>", "the image", "image"]],
  examples: [
    ["smolvm image inspect debian --json | jq -r .image.kernelPath", "its kernel, for use elsewhere"],
  ],
  async act([name = ""], _flags, { api }) {
    const image = await api.inspectImage(name);
    return { document: { image }, text: formatImage(image) };
  },
};

const rm: CommandSpec = {
  summary: "remove images, of each name the older ones too",
  operands: [["<names...>", "the images", "image"]],
  examples: [["smolvm image rm debian", "it is built again when it is next needed"]],
  act: (names, _flags, context) => doEach(names, context, "removed", (name) => context.api.deleteImage(name)),
};

export const image: CommandGroup = {
  summary: "build, list, inspect and remove images",
  commands: { build, ls, inspect, rm },
};

type ImageInfo = Awaited<ReturnType<Context["api"]["inspectImage"]>>;

function formatImage(image: ImageInfo): string {
  return formatFields(Object.entries(image).filter(([, value]) => typeof value !== "object"));
}
