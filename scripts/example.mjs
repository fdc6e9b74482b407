// Runs a program of examples/ the way a user's project would: compiled by tsc, with `smolvm` in its node_modules.
//     node scripts/example.mjs hello
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const REPOSITORY = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

export function listExamples() {
  const files = readdirSync(join(REPOSITORY, "examples")).filter((file) => file.endsWith(".ts"));
  return files.map((file) => file.slice(0, -".ts".length)).sort();
}

/** Compiles the named examples into a new folder, the caller's to remove: `<folder>/<name>.js`. */
export function compileExamples(names) {
  const folder = mkdtempSync(join(tmpdir(), "smolvm-examples-"));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(REPOSITORY, join(folder, "node_modules", "smolvm"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  const project = join(folder, "tsconfig.json");
  writeFileSync(project, JSON.stringify(describeProject(names, folder)));
  const tsc = join(REPOSITORY, "node_modules", "typescript", "bin", "tsc");
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", project], { encoding: "utf8" });
  if (status === 0) return folder;
  rmSync(folder, { recursive: true });
  throw new Error(`The examples do not compile:\n${stdout}`);
}

function describeProject(names, folder) {
  return {
    compilerOptions: {
      target: "es2022",
      module: "nodenext",
      // `npm run typecheck` has looked at their types; here only JavaScript is wanted.
      noCheck: true,
      types: [],
      rootDir: join(REPOSITORY, "examples"),
      outDir: folder,
    },
    files: names.map((name) => join(REPOSITORY, "examples", `${name}.ts`)),
  };
}

/** Runs one example with this process's output; its exit status. */
export function runExample(name) {
  const folder = compileExamples([name]);
  try {
    return (
      spawnSync(process.execPath, [join(folder, `${name}.js`)], { stdio: ["ignore", "inherit", "inherit"] })
        .status ?? 1
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name = ""] = process.argv.slice(2);
  if (!listExamples().includes(name)) {
    process.stderr.write(`Usage: npm run example NAME\nExamples: ${listExamples().join(" ")}\n`);
    process.exit(2);
  }
  process.exitCode = runExample(name);
}
