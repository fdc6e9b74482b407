// The specific errors first, their common root last.
import {
  buildImage,
  CommandExecutionUnavailableError,
  CommandFailedError,
  OperationTimeoutError,
  SmolVM,
  SmolVMError,
} from "smolvm";

async function attempt(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "nothing went wrong";
  } catch (error) {
    if (error instanceof OperationTimeoutError) return `timeout after ${error.timeoutSeconds} s`;
    if (error instanceof CommandExecutionUnavailableError) return `never ran; ${error.remediation}`;
    if (error instanceof CommandFailedError) return `failed with ${error.result.exitCode}`;
    if (error instanceof SmolVMError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

await using vm = await SmolVM.create();
console.log(await attempt(() => vm.run("true")));
console.log(await attempt(() => vm.run("sleep 100", { timeout: "500ms" })));
console.log(await attempt(() => vm.run("exit 4", { check: true })));
console.log(await attempt(() => vm.run("")));

const image = await buildImage("debian");
await using silent = await SmolVM.create({
  kernelPath: image.kernelPath,
  initrdPath: image.initramfsPath,
  rootfsPath: image.rootfsPath ?? "",
  bootArgs: "console=ttyS0 reboot=t panic=-1 root=/dev/vda rw",
});
console.log(await attempt(() => silent.run("true")));
