// Compiles src/ to dist/ and copies the files that are no TypeScript beside the code that reads them.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const isSource = (path) => !path.endsWith(".ts");

rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", root], { stdio: "inherit" });
cpSync(`${root}src/host`, `${root}dist/host`, { recursive: true, filter: isSource });
cpSync(`${root}src/guest`, `${root}dist/guest`, { recursive: true, filter: isSource });
cpSync(`${root}src/image/keys`, `${root}dist/image/keys`, { recursive: true, filter: isSource });
chmodSync(`${root}dist/cli/main.js`, 0o755);
