// Three ways to end a command early. Each ends all that it started, daemons included.
import { OperationAbortedError, SmolVM } from "smolvm";

await using vm = await SmolVM.create();

// A signal, to every process of the command. What it makes of it is its result.
const polite = vm.run("trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.1; done");
for await (const { text } of polite) if (text.includes("ready")) polite.kill("SIGTERM");
const { exitCode, output } = await polite;
console.log(exitCode, JSON.stringify(output));

const killed = vm.run("sleep 600");
killed.kill("SIGKILL");
console.log(
  await killed.then(
    ({ signal }) => signal,
    (error: Error) => error.constructor.name,
  ),
);

// An AbortSignal, which several commands can share.
const controller = new AbortController();
const aborted = vm.run("echo half; setsid sleep 600", {
  signal: controller.signal,
  onStdout: () => controller.abort(),
});
const error = await aborted.catch((reason: unknown) => reason);
if (!(error instanceof OperationAbortedError)) throw error;
console.log(JSON.stringify(error.stdout));
console.log("sleeps left:", (await vm.run("cat /proc/[0-9]*/comm | grep -cx sleep")).output);

// What a command left running on purpose is another matter: it goes on when the command has ended.
await vm.run("nohup sleep 600 >/dev/null 2>&1 &");
console.log("sleeps left:", (await vm.run("cat /proc/[0-9]*/comm | grep -cx sleep")).output);
