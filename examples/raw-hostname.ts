// Raw mode starts no login shell and loads no profile. The machine's name is its host name.
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create({ name: "example-host" });
console.log((await vm.run("hostname", { shell: "raw" })).output);
