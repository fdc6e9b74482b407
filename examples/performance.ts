// What three habits save, measured.
import { OperationTimeoutError, SmolVM } from "smolvm";

await using vm = await SmolVM.create();
await vm.run("true"); // the connection is made by the first command

async function time(work: () => Promise<unknown>): Promise<string> {
  const startedMs = performance.now();
  await work();
  return `${(performance.now() - startedMs).toFixed(1)} ms`;
}

// 1. Chain what belongs together: one command costs less than ten.
const steps = Array.from({ length: 10 }, (_, step) => `echo ${step} > /tmp/step-${step}`);
const oneByOne = await time(async () => {
  for (const step of steps) await vm.run(step);
});
console.log(`ten commands: ${oneByOne}; chained: ${await time(() => vm.run(steps.join(" && ")))}`);

// 2. Raw mode where no profile is needed.
const repeat = async (shell: "login" | "raw") => {
  for (let i = 0; i < 10; i += 1) await vm.run("true", { shell });
};
console.log(
  `ten in login mode: ${await time(() => repeat("login"))}; in raw mode: ${await time(() => repeat("raw"))}`,
);

// 3. A timeout that fits the work: a command that hangs costs that long, and not 30 s.
const hanging = await time(async () => {
  const error = await vm.run("sleep 60", { timeout: 1 }).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof OperationTimeoutError)) throw error;
});
console.log(`a command that hangs, with a timeout of 1 s: ${hanging}`);
