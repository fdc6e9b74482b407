// A machine booted without `init=/init` has no SSH server of ours: commands are refused at once, and say why.
import { buildImage, CommandExecutionUnavailableError, SmolVM } from "smolvm";

const image = await buildImage("debian");
await using vm = await SmolVM.create({
  kernelPath: image.kernelPath,
  initrdPath: image.initramfsPath,
  rootfsPath: image.rootfsPath ?? "",
  bootArgs: "console=ttyS0 reboot=t panic=-1 root=/dev/vda rw",
});
try {
  await vm.run("echo never");
} catch (error) {
  if (!(error instanceof CommandExecutionUnavailableError)) throw error;
  console.log("message:", error.message);
  console.log("remediation:", error.remediation);
}
