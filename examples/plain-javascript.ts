// Without `await using`, which plain JavaScript has from Node 24 on: the machine lives as long as the function runs.
import { SmolVM } from "smolvm";

const kernel = await SmolVM.use({ memSizeMib: 256 }, async (vm) => {
  const result = await vm.run(["uname", "-s"]);
  return result.output;
});
console.log(kernel);
