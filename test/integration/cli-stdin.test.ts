import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { CLI, requireBuilt, runCli } from "../setup/cli-process.ts";

describe("standard input", () => {
  it("is told of by the help of run and of exec", async () => {
    for (const command of ["run", "exec"])
      expect((await runCli([command, "--help"])).stdout).toContain("-n, --no-stdin");
  });

  it("that is a folder is a failure of smolvm, before anything is run", async () => {
    requireBuilt();
    const status = async (script: string) =>
      (
        await promisify(execFile)("/bin/sh", ["-c", script], {
          env: { ...process.env, SMOLVM: `${process.execPath} ${CLI}` },
        })
      ).stdout;
    for (const command of ["run", "exec web"]) {
      const said = await status(`$SMOLVM ${command} -- cat </ 2>&1; echo $?`);
      expect(said).toContain("Standard input is a folder");
      expect(said).toMatch(/-n for no input\.\n125\n$/);
    }
  });
});
