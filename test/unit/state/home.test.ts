import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { statePaths } from "../../../src/state/paths.ts";

describe("the state folder", () => {
  it.each([
    ["named by SMOLVM_HOME", { SMOLVM_HOME: "/s", HOME: "" }, "/s"],
    ["in the home folder", { HOME: "/home/me" }, "/home/me/.smolvm"],
    ["in the user's own home folder where HOME is empty", { HOME: "" }, join(userInfo().homedir, ".smolvm")],
    ["in the user's own home folder where HOME is not set", {}, join(userInfo().homedir, ".smolvm")],
  ])("is %s", (_, env, home) => {
    expect(statePaths(env).home).toBe(home);
  });

  it.each(["relative", ".", "/", "//"])("is refused where HOME is %j, with what to set", (HOME) => {
    expect(() => statePaths({ HOME })).toThrow(
      expect.objectContaining({ code: "STATE", remediation: expect.stringContaining("SMOLVM_HOME") }),
    );
  });
});
