// Variables set once are seen by every login shell from then on, and by no raw one.
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();
console.log(await vm.setEnvVars({ API_KEY: "secret-123" }));
console.log("login:", (await vm.run('echo "[$API_KEY]"')).output);
console.log("raw:", (await vm.run('echo "[$API_KEY]"', { shell: "raw" })).output);
console.log(
  "one command:",
  (await vm.run('echo "[$API_KEY]"', { shell: "raw", env: { API_KEY: "other" } })).output,
);
console.log(await vm.listEnvVars());
console.log(await vm.unsetEnvVars(["API_KEY"]));
console.log("afterwards:", (await vm.run('echo "[$API_KEY]"')).output);
