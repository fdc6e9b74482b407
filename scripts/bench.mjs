// Sets the checkout up, installs the tools it is compared with where that is allowed, compiles bench/ and runs it.
// `npm run bench -- --help` tells what can be chosen.
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ensureImage } from "./image.mjs";
import { heading, REPOSITORY, run, setUp, tryRun } from "./setup.mjs";

await setUp(["ssh"]);
installRivals();
heading("Compiling bench/");
rmSync(join(REPOSITORY, "dist-bench"), { recursive: true, force: true });
// Compiled, since Node 20 can't run TypeScript.
run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.bench.json"]);
if (!process.argv.includes("--help")) await ensureImage();
const { status } = spawnSync(process.execPath, ["dist-bench/main.js", ...process.argv.slice(2)], {
  stdio: "inherit",
});
process.exit(status ?? 1);

/** debvm brings what it needs with it. Without it the bench goes on and says what it could not measure. */
function installRivals() {
  if (isOnPath("debvm-run") || !isOnPath("apt-get")) return;
  const install = "apt-get update && apt-get install -y --no-install-recommends debvm";
  if (process.getuid?.() !== 0) {
    process.stdout.write(
      `debvm is not installed, so nothing is compared with it; an administrator can install it: ${install}\n`,
    );
    return;
  }
  heading("Installing debvm, to compare with");
  tryRun("/bin/sh", ["-c", install], { ...process.env, DEBIAN_FRONTEND: "noninteractive" });
}

function isOnPath(program) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}
