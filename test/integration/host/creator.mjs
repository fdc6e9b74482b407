// Stands for the process that holds a machine: starts the guardian the way src/host/guarded-process.ts does,
// prints the command's process id, and waits to be killed.
import { spawn } from "node:child_process";

const [guardian, folder, ...argv] = process.argv.slice(2);
const child = spawn("/bin/sh", [guardian, folder, ...argv], {
  detached: true,
  cwd: "/",
  stdio: ["pipe", "inherit", "inherit", "pipe", "pipe", "pipe"],
});
child.stdio[5].on("data", (line) => {
  child.stdin.end("go\n");
  process.stdout.write(line);
});
setInterval(() => {}, 1000);
