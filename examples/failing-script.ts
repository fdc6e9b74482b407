// A non-zero exit code is a result; with `check` it is an exception.
import { CommandFailedError, SmolVM } from "smolvm";

await using vm = await SmolVM.create();

const result = await vm.run("ls /nowhere");
console.log("exit code:", result.exitCode);

try {
  await vm.run("echo working; exit 3", { check: true });
} catch (error) {
  if (!(error instanceof CommandFailedError)) throw error;
  console.log("thrown:", error.message);
  console.log("with its result:", error.result.exitCode, error.result.output);
}

// The same by hand, with an error of one's own.
const deploy = await vm.run("echo 'disk full' >&2; exit 28");
try {
  if (!deploy.ok) throw new Error(`deploy failed with ${deploy.exitCode}: ${deploy.stderr.trim()}`);
} catch (error) {
  console.log("thrown:", (error as Error).message);
}
