// Three ways to do several things one after the other.
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();

// One by one: each is a command of its own; the file system is what they share.
await vm.run("mkdir -p /work");
await vm.run("echo one > /work/list");
console.log((await vm.run("cat /work/list")).output);

// Chained: one command; the first failure ends it.
console.log((await vm.run("cd /work && echo two >> list && wc -l < list")).output);

// A script of several lines: `set -e` ends it at the first failure.
const script = await vm.run(`
  set -e
  cd /work
  echo three >> list
  grep -c . list
  ls /nowhere
  echo never printed
`);
console.log(script.output, script.exitCode);
