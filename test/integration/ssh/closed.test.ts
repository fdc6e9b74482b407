import { createServer } from "node:net";
import { expect, it } from "vitest";
import { CommandExecutionUnavailableError } from "../../../src/errors.ts";
import { createCommandRunner } from "../../../src/ssh/command/command-runner.ts";

it("a runner that was closed knocks nowhere any more, whoever asks", async () => {
  let knocks = 0;
  const server = createServer((socket) => {
    knocks += 1;
    socket.destroy();
  }).listen(0, "127.0.0.1");
  const address = await new Promise<{ port: number }>((resolve) =>
    server.once("listening", () => resolve(server.address() as { port: number })),
  );
  const runner = createCommandRunner({
    vm: { id: "vm-1", name: "box" },
    died: new Promise(() => {}),
    target: async () => ({
      host: "127.0.0.1",
      port: address.port,
      user: "root",
      privateKey: "",
      hostKey: new Uint8Array(),
      emulated: false,
    }),
  });
  await runner.close();
  runner.preconnect(10_000);
  const waiting = runner.waitConnected({ timeoutMs: 10_000 });
  await expect(waiting).rejects.toBeInstanceOf(CommandExecutionUnavailableError);
  expect(knocks).toBe(0);
  await new Promise((resolve) => server.close(resolve));
});
