// Compiles src/ to dist/ and copies the files that are no TypeScript beside the code that reads them.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const isSource = (path) => !path.endsWith(".ts");

rmSync(`${root}dist`, { recursive: true, force: true });
const tsc = [`${root}node_modules/typescript/bin/tsc`, "-p", root];
const { status } = spawnSync(process.execPath, tsc, { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
cpSync(`${root}src`, `${root}dist`, { recursive: true, filter: isSource });
chmodSync(`${root}dist/cli/main.js`, 0o755);
