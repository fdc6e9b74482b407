// Asks before it tries.
import { buildImage, SmolVM, SSH_BOOT_ARGS } from "smolvm";

const image = await buildImage("debian");
const files = {
  kernelPath: image.kernelPath,
  initrdPath: image.initramfsPath,
  rootfsPath: image.rootfsPath ?? "",
};

await using open = await SmolVM.create({ ...files, bootArgs: SSH_BOOT_ARGS });
console.log("with init=/init:", open.canRunCommands());

await using silent = await SmolVM.create({
  ...files,
  bootArgs: "console=ttyS0 reboot=t panic=-1 root=/dev/vda rw",
});
console.log("without:", silent.canRunCommands());
