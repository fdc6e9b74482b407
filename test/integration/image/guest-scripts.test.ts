import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { REPOSITORY } from "../../setup/sources.ts";

const GUEST = join(REPOSITORY, "src/guest");

describe("the scripts that run in a guest", () => {
  const scripts = readdirSync(GUEST, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".sh") || name.startsWith("build/"),
  );

  it.each(scripts)("%s is a shell script without a mistake in its form", (name) => {
    const { status, stderr } = spawnSync("sh", ["-n", join(GUEST, name)], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});
