// What quickstart, verify and bench need before they start: packages, a build, and the host's tools.
// Plain JavaScript without dependencies: on a fresh machine nothing else can run yet.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

const OLDEST_NODE = 20;

/** Makes the checkout runnable, whoever runs it and however often. `tools`: programs that have to be on the host besides QEMU. */
export async function setUp(tools = []) {
  process.chdir(REPOSITORY);
  checkNode();
  installPackages();
  heading("Building");
  run(process.execPath, ["scripts/build.mjs"]);
  await installTools(tools);
}

export function heading(text) {
  process.stdout.write(`==> ${text}\n`);
}

/** Says why it can't go on and what helps, and ends with status 1. */
export function giveUp(why, remedy = "") {
  process.stdout.write(`\n${why}\n${remedy === "" ? "" : `\n    ${remedy}\n\n`}`);
  process.exit(1);
}

/** Runs a program with this one's output. Its failure ends this program too. */
export function run(file, args, env = process.env) {
  const status = tryRun(file, args, env);
  if (status !== 0) giveUp(`"${[file, ...args].join(" ")}" failed with status ${status}.`);
}

/** The same, but hands the exit status back. */
export function tryRun(file, args, env = process.env) {
  const { status, error } = spawnSync(file, args, { stdio: ["ignore", "inherit", "inherit"], env });
  if (error) process.stdout.write(`${file}: ${error.message}\n`);
  return status ?? 1;
}

function checkNode() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < OLDEST_NODE) giveUp(`Node ${OLDEST_NODE} or later is needed; this is ${process.version}.`);
}

function installPackages() {
  if (packagesMatchLockfile()) return;
  heading("Installing npm packages");
  run("npm", ["ci", "--no-audit", "--no-fund"]);
}

/** npm writes what it has installed in the lockfile's own form. */
function packagesMatchLockfile() {
  const installed = join("node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  return matchesLockfile(readPackages("package-lock.json"), readPackages(installed), existsSync);
}

/** Whether `installed` is what `wanted` asks for and still there, by the `packages` of the two lockfiles. */
export function matchesLockfile(wanted, installed, exists) {
  // The lockfile has no checksum of packages that were not to be had where it was made.
  const isSame = ([path, { version, integrity }]) =>
    wanted[path]?.version === version &&
    [undefined, integrity].includes(wanted[path].integrity) &&
    exists(path);
  // Packages for other platforms are in the lockfile only.
  const isThere = ([path, { optional }]) => path === "" || optional === true || path in installed;
  return Object.entries(installed).every(isSame) && Object.entries(wanted).every(isThere);
}

function readPackages(lockfile) {
  return JSON.parse(readFileSync(lockfile, "utf8")).packages;
}

/** Installs what is missing where this user may; else names the one command that an administrator has to run. */
async function installTools(tools) {
  // The library knows the packages of each system; it has just been built.
  const { installHint } = await import("../dist/host/find-tool.js");
  const { hostArch } = await import("../dist/host/platform.js");
  const wanted = [`qemu-system-${hostArch()}`, "qemu-img", ...tools];
  const missing = await findMissing(wanted);
  if (missing.length === 0) return;
  const command = await installHint(missing);
  const why = `Not installed on this host: ${missing.join(", ")}.`;
  if (command === undefined) giveUp(`${why} Install them so that they are found on PATH.`);
  const mayInstall = process.getuid?.() === 0 || process.platform === "darwin";
  if (!mayInstall) giveUp(`${why} An administrator has to run this one command:`, command);
  heading(`Installing ${missing.join(", ")}: ${command}`);
  run("/bin/sh", ["-c", command], { ...process.env, DEBIAN_FRONTEND: "noninteractive" });
  const stillMissing = await findMissing(wanted);
  if (stillMissing.length > 0) giveUp(`Installed, and yet not found: ${stillMissing.join(", ")}.`);
}

async function findMissing(tools) {
  const { findTool } = await import("../dist/host/find-tool.js");
  const paths = await Promise.all(tools.map((tool) => findTool(tool)));
  return tools.filter((_, index) => paths[index] === undefined);
}
