import { spawn } from "node:child_process";
import { once } from "node:events";

const DIST = JSON.stringify(new URL("../../dist/", import.meta.url).href);
/** What it has to itself besides what Node needs. */
const FILES = 256;

/**
 * What a Node program says that runs out of open files again and again, by chance, for as long as its code takes. `before` is run first and
 * `code` then, which ends with `tell(value)`; `dist(path)` is the address of a built file, `isOver()` tells when some seconds are over.
 */
export async function runStarved(before: string, code: string, env: NodeJS.ProcessEnv): Promise<unknown> {
  const program = `
    import { closeSync, existsSync, openSync } from "node:fs";
    const dist = (path) => new URL(path, ${DIST}).href;
    let told;
    const tell = (value) => { told = value; };
    ${before}
    const files = [];
    const random = (() => { let seed = 7; return () => (seed = (seed * 48271) % 2147483647) / 2147483647; })();
    const flap = setInterval(() => {
      try { for (;;) files.push(openSync("/dev/null", "r")); } catch {}
      for (let n = Math.floor(random() * 6); n > 0 && files.length; n--) closeSync(files.pop());
    }, 1);
    const endMs = Date.now() + 3_000;
    const isOver = () => Date.now() > endMs;
    ${code}
    clearInterval(flap);
    for (const file of files.splice(0)) closeSync(file);
    console.log(JSON.stringify(told));
    process.exit();`;
  const child = spawn(
    "sh",
    ["-c", `ulimit -n ${FILES}; exec "$@"`, "sh", process.execPath, "--input-type=module", "-e", program],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } },
  );
  let said = "";
  child.stdout.on("data", (chunk) => {
    said += chunk;
  });
  await once(child, "close");
  return JSON.parse(said);
}
