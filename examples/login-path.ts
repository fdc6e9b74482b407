// A login shell (the default) has loaded /etc/profile and what lies in /etc/profile.d.
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();
console.log((await vm.run("echo $PATH")).output);
