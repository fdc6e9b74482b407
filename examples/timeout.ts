// A timeout counts from the call, ends the whole process tree in the guest, and keeps what was printed.
import { OperationTimeoutError, SmolVM } from "smolvm";

await using vm = await SmolVM.create();
try {
  await vm.run("echo started; sleep 100", { timeout: 3 });
} catch (error) {
  if (!(error instanceof OperationTimeoutError)) throw error;
  console.log(error.message);
  console.log("printed until then:", JSON.stringify(error.stdout));
}
console.log("sleeps left:", (await vm.run("cat /proc/[0-9]*/comm | grep -c '^sleep$'")).output);
