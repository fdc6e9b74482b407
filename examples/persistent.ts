// A machine that outlives the program that made it, found again by its name.
import { SmolVM } from "smolvm";

const name = `example-${process.pid}`;

{
  await using vm = await SmolVM.create({ name, persistent: true, labels: { for: "an example" } });
  await vm.run("echo 'I was here' > /root/note");
} // the scope ends: connections are closed, the machine goes on

const again = await SmolVM.get(name); // in the same program or another one
console.log(again.status, (await again.run("cat /root/note")).output);

await again.stop(); // the disk is kept
const [info] = await SmolVM.list({ labels: { for: "an example" } });
console.log(info?.status);

await again.start();
console.log((await again.run("cat /root/note")).output);
await again.delete();
