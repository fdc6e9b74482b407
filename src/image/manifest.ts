import * as v from "valibot";
import { firstIssue } from "../util/first-issue.ts";

const hexDigest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const byteCount = v.pipe(v.number(), v.integer(), v.minValue(1));

const ImageManifestSchema = v.strictObject({
  formatVersion: v.literal(1),
  name: v.string(),
  arch: v.picklist(["x86_64", "aarch64"]),
  /** Over everything the image was made from. */
  digest: hexDigest,
  /** Over our own part of it: another value means that another version of this code made the image. */
  recipe: hexDigest,
  kernelVersion: v.string(),
  createdAt: v.pipe(v.string(), v.isoTimestamp()),
  kernelBytes: byteCount,
  initramfsBytes: byteCount,
  /** The root file system's size as the guest sees it; null where the image stays in memory. */
  rootfsBytes: v.nullable(byteCount),
  mirror: v.string(),
  packages: v.array(v.strictObject({ name: v.string(), version: v.string(), sha256: hexDigest })),
});

/** What an image is: kept beside its files as `image.json`. */
export type ImageManifest = v.InferOutput<typeof ImageManifestSchema>;

/** Throws RangeError naming the first field that is not as it should be. */
export function decodeManifest(text: string): ImageManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RangeError("it is no JSON", { cause });
  }
  const result = v.safeParse(ImageManifestSchema, value);
  if (result.success) return result.output;
  throw new RangeError(firstIssue(result.issues));
}
