// Every field of a result that programs usually look at.
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();

const good = await vm.run("echo out; echo err >&2");
console.log("exitCode:", good.exitCode);
console.log("stdout:", JSON.stringify(good.stdout));
console.log("stderr:", JSON.stringify(good.stderr));
console.log("ok:", good.ok);
console.log("output:", JSON.stringify(good.output)); // stdout without white space at its ends

const bad = await vm.run("echo half; exit 7");
console.log("exitCode:", bad.exitCode, "ok:", bad.ok, "output:", JSON.stringify(bad.output));

const killed = await vm.run("kill -9 $$");
console.log("exitCode:", killed.exitCode, "signal:", killed.signal);
