// Commands run as root, in a machine that is theirs alone.
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();
console.log((await vm.run("whoami")).output);
console.log((await vm.run(["id", "-u"])).output); // an array is a program and its arguments: no shell reads it
