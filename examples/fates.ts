// What became of a command is never a guess: it ran, it never ran, it was ended, or nobody can know.
import {
  CommandExecutionUnavailableError,
  CommandOutcomeUnknownError,
  OperationTimeoutError,
  type Run,
  SmolVM,
  VMStateError,
} from "smolvm";

await using vm = await SmolVM.create();

async function fateOf(run: Run): Promise<string> {
  try {
    const { exitCode, signal } = await run;
    return signal === null ? `ran, and ended with ${exitCode}` : `ran, and was killed by ${signal}`;
  } catch (error) {
    if (error instanceof CommandExecutionUnavailableError) return `never ran: ${error.remediation}`;
    if (error instanceof VMStateError) return `never ran: ${error.remediation}`;
    if (error instanceof OperationTimeoutError)
      return `was ended, having printed ${JSON.stringify(error.stdout)}`;
    if (error instanceof CommandOutcomeUnknownError)
      return `unknown, having printed ${JSON.stringify(error.stdout)}`;
    throw error;
  }
}

console.log(await fateOf(vm.run("exit 7")));
console.log(await fateOf(vm.run("kill -9 $$")));
console.log(await fateOf(vm.run("pwd", { cwd: "/nowhere" })));
console.log(await fateOf(vm.run("id", { user: "nobdy" })));
console.log(await fateOf(vm.run("echo half; sleep 600", { timeout: 2 })));

// The machine dies while a command runs: it may have done its work or not.
const { pid } = await vm.info();
const cut = vm.run("echo half; sleep 600", { onStdout: () => pid !== null && process.kill(pid, "SIGKILL") });
console.log(await fateOf(cut));

await vm.start(); // the same machine with the same disk
console.log(await fateOf(vm.run("true")));
await vm.stop();
console.log(await fateOf(vm.run("true")));
