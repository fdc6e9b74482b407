// Your own kernel and disk. Here they are those of the built image; the disk is never written to.
import { buildImage, inspectImage, SmolVM, SSH_BOOT_ARGS, type VMConfig } from "smolvm";

await buildImage("debian");
const image = await inspectImage("debian");
const config: VMConfig = {
  kernelPath: image.kernelPath,
  initrdPath: image.initramfsPath,
  rootfsPath: image.rootfsPath ?? "",
  bootArgs: SSH_BOOT_ARGS,
  memSizeMib: 512,
};

await using vm = new SmolVM(config);
console.log(vm.status);
await vm.start();
await vm.waitForSsh({ timeout: 60 });
console.log(vm.status);
console.log((await vm.run("uname -s")).output);
