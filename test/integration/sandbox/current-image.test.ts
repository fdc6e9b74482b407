import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { inspectImage, listImages } from "../../../src/index.ts";
import { useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

/** As an earlier or a later version of our code makes it. */
function makeOtherRecipe(kernel: string): void {
  const manifest = join(dirname(kernel), "image.json");
  const value = JSON.parse(readFileSync(manifest, "utf8"));
  writeFileSync(manifest, JSON.stringify({ ...value, recipe: "0".repeat(64) }));
}

it("of several images of a name the newest that this version made is current, and no other", async () => {
  await using home = await useStateFolder();
  const { state } = home;
  const first = await storeImage(state, "tiny", "1");
  await storeImage(state, "debian", "2");
  const third = await storeImage(state, "tiny", "3");
  const { kernel } = await storeImage(state, "tiny", "4");
  const shown = async () =>
    (await listImages()).map(({ name, digest, current }) => [name, digest[0], current]);
  expect(await shown()).toEqual([
    ["tiny", "4", true],
    ["tiny", "3", false],
    ["debian", "2", true],
    ["tiny", "1", false],
  ]);

  expect(await inspectImage("tiny")).toMatchObject({ digest: "4".repeat(64), current: true });

  makeOtherRecipe(kernel);
  expect((await shown()).filter(([, , current]) => current)).toEqual([
    ["tiny", "3", true],
    ["debian", "2", true],
  ]);
  expect(await inspectImage("tiny")).toMatchObject({ digest: "3".repeat(64), current: true });
  makeOtherRecipe(third.kernel);
  makeOtherRecipe(first.kernel);
  expect(await inspectImage("tiny")).toMatchObject({ digest: "4".repeat(64), current: false });
});

it.each([
  ["debian", "Build it: smolvm image build debian"],
  ["debain", "List the images with: smolvm image ls"],
])("the remedy where there is no image %s is: %s", async (name, remediation) => {
  await using _home = await useStateFolder();
  await expect(inspectImage(name)).rejects.toMatchObject({ code: "IMAGE", remediation });
});
