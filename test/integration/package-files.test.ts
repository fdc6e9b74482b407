import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = new URL("../../", import.meta.url).pathname;
let copy = "";
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "smolvm-package-"));
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  cpSync(join(ROOT, "package.json"), join(copy, "package.json"));
});
afterAll(() => rmSync(copy, { recursive: true }));

const START = 'await new SmolVM({ image: "tiny", persistent: true }).start()';

/** As where a bundler, or somebody who made room, has left it out. */
describe("a package that lacks a file", () => {
  it.each([
    [
      "host/guardian.sh",
      "host/guarded-process.js",
      'await spawnGuarded(["true"], { ephemeralFolder: null })',
    ],
    ["sandbox/holder/supervisor-main.js", "index.js", START],
    ["image/keys", "image/release.js", "await readArchiveKeys()"],
    ["guest/init.sh", "image/guest-files.js", 'await readGuestFile("init.sh")'],
    ["guest/worker.sh", "ssh/protocol/guest-scripts.js", 'readGuestScript("worker")'],
  ])("%s says which, and how it gets whole again", (file, module, call) => {
    const dist = join(copy, "dist");
    rmSync(dist, { recursive: true, force: true });
    cpSync(join(ROOT, "dist"), dist, { recursive: true });
    rmSync(join(dist, file), { recursive: true });
    const name = /(\w+)\(/.exec(call)?.[1];
    const code = `import { ${name} } from ${JSON.stringify(join(dist, module))};
      try { ${call}; } catch ({ code, message, remediation }) { console.log(JSON.stringify({ code, message, remediation })); }`;
    const env = { ...process.env, SMOLVM_HOME: join(copy, "home") };
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", code], {
      env,
      encoding: "utf8",
    });
    expect(JSON.parse(said)).toEqual({
      code: "HOST",
      message: `A file of smolvm itself is missing: ${join(dist, file)}${file === "image/keys" ? "/" : ""}.`,
      remediation: expect.stringContaining("npm install smolvm"),
    });
  });
});
