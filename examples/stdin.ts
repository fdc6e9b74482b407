// Every kind of standard input. Without one it is closed at once, so that nothing waits for it.
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();

console.log("none:", JSON.stringify((await vm.run("cat")).stdout));
console.log("a string:", (await vm.run("wc -c", { stdin: "grüße\n" })).output);
console.log("bytes:", (await vm.run("od -An -tx1", { stdin: Uint8Array.of(0, 255, 10) })).output);
console.log("a file:", (await vm.run("head -n 1", { stdin: createReadStream("/etc/passwd") })).output !== "");

async function* numbers() {
  for (let n = 1; n <= 100_000; n += 1) yield `${n}\n`;
}
console.log(
  "as it is made:",
  (await vm.run("awk '{ sum += $1 } END { print sum }'", { stdin: numbers() })).output,
);

// A conversation: write, wait for the answer, write again. `run.stdin` is a Writable.
const calculator = vm.run(`while read -r a b; do echo "$((a + b))"; done`, { stdin: "pipe" });
const questions = ["1 2", "20 22"];
const ask = () => {
  const question = questions.shift();
  if (question === undefined) calculator.stdin?.end();
  else calculator.stdin?.write(`${question}\n`);
};
ask();
for await (const { text } of calculator) {
  console.log("it says:", text.trim());
  ask();
}

// It takes no more than the guest reads: `write` answers false, and "drain" follows. Node's own pipes heed that.
const slow = vm.run("sleep 0.5; wc -c", { stdin: "pipe" });
const pieces = Readable.from(Array.from({ length: 64 }, () => Buffer.alloc(64 * 1024)));
if (slow.stdin) pieces.pipe(slow.stdin);
console.log("bytes read:", (await slow).output);
