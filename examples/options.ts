// The options of a command that say where, as whom and with what it runs. They are for that command only.
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();

const script = `
  echo "$GREETING from $(pwd), $(id -un)"
`;
const result = await vm.run(script, { env: { GREETING: "it's $5" }, cwd: "/var/tmp", user: "nobody" });
console.log(result.output);

// An array is a program and its arguments: no shell reads them.
console.log((await vm.run(["printf", "%s|", "a b", "$HOME", "*", ""])).stdout);

// What is kept of much output is its head and its tail; the command goes on, and its exit code is right.
const much = await vm.run("seq 1 1000000; exit 3", { maxOutputBytes: 20 });
console.log(JSON.stringify(much.stdout), much.truncated.stdout, much.exitCode);

// 200 at once: so many run side by side as the guest has memory for, the others wait for their turn.
const names = Array.from({ length: 200 }, (_, index) => `number ${index}`);
const results = await Promise.all(
  names.map((name) => vm.run(["echo", name], { shell: "raw", timeout: "5m" })),
);
console.log(results.every(({ output }, index) => output === names[index]));
