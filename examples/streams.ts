// Output as it comes, in the order of its arrival; leaving the loop ends the command and all that it started.
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();

for await (const { stream, text } of vm.run("echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three")) {
  console.log(stream, JSON.stringify(text));
}

let lines = 0;
for await (const { text } of vm.run("yes", { timeout: null })) {
  lines += text.split("\n").length - 1;
  if (lines > 1000) break;
}
console.log("enough:", lines > 1000);
console.log("yes is gone:", !(await vm.run("cat /proc/[0-9]*/comm | grep -qx yes")).ok);

// A listener sees it too, and the result holds all of it still.
const seen: string[] = [];
const result = await vm.run("printf 'a\\nb\\n'", { onStdout: (text) => seen.push(text) });
console.log(seen.join("") === result.stdout, JSON.stringify(result.stdout));
