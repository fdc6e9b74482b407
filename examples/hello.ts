import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();
const result = await vm.run("echo 'Hello from SmolVM'");
console.log(result.output);
