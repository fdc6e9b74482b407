import type { Server, Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listenAt } from "../../../src/host/local-socket.ts";
import { HolderLink } from "../../../src/sandbox/remote/holder-link.ts";
import { RemoteMachine } from "../../../src/sandbox/remote/machine.ts";
import { PROTOCOL, send } from "../../../src/sandbox/remote/protocol.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let servers: Server[] = [];

beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(async () => {
  for (const server of servers) server.close();
  servers = [];
  await folder[Symbol.asyncDispose]();
});

const REPORT = {
  ...({ accelerator: "tcg", acceleratorReason: "", way: "cold", wayReason: "" } as const),
  ...{ startedAt: "2026-01-02T03:04:05.678Z", phases: [] },
};

describe("a machine that runs, and at whose socket somebody listens who is no holder", () => {
  const flood = (socket: Socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(1 << 20, "x")));
    };
    socket.on("error", () => {}).on("drain", more);
    more();
  };
  const LISTENERS: [string, (socket: Socket) => void][] = [
    ["hangs up", (socket) => socket.destroy()],
    ["talks nonsense", (socket) => void socket.write("HTTP/1.1 400 Bad Request\n\n")],
    ["never ends its line", flood],
  ];

  it("is never said to be stopped, and each call says that nobody could be reached", {
    timeout: 30_000,
  }, async () => {
    const status = { phase: "running", reason: "", since: "2026-01-02T03:04:05.678Z" } as const;
    const boot = { qemu: folder.me, sshPort: null, hostKey: null, cgroup: null, report: REPORT };
    const asked = LISTENERS.map(async ([does, greet], index) => {
      const known = { persistent: true, wasBooted: true, owner: folder.me, status, boot };
      const { record, paths } = await folder.put(`box-${index}`, known);
      servers.push(await listenAt(paths.control, greet));
      const handle = await new RemoteMachine(record, paths).look();
      const calls = [handle.pause(), handle.snapshot(undefined, {}), handle.stop({ timeout: 1 })];
      const codes = (await Promise.allSettled(calls)).map((each) => Object(Object(each).reason).code);
      return [does, handle.status.phase, ...codes];
    });
    const told = ["running", ...Array(3).fill("UNRESPONSIVE")];
    expect(await Promise.all(asked)).toEqual(LISTENERS.map(([does]) => [does, ...told]));
  });
});

describe("a holder that greets and then says nothing", () => {
  it.each([
    ["stop", { isHolder: true }],
    ["snapshot", {}],
  ] as const)(
    "is named as what did not answer, unless the time was the caller's own: %s",
    async (asked, details) => {
      const { record, paths } = await folder.put("box", { persistent: true, owner: folder.me });
      servers.push(
        await listenAt(paths.control, (socket) =>
          send(socket, { kind: "record", protocol: PROTOCOL, record }),
        ),
      );
      const nobody = () => {};
      const link = new HolderLink({ spec: record.spec, state: folder.state, onNews: nobody, onLost: nobody });
      const asking = link.ask(() => link.connect(paths), asked, {}, { timeoutMs: 20 });
      await expect(asking).rejects.toMatchObject({ code: "OPERATION_TIMEOUT" });
      expect(Object(await asking.catch((error) => error)).details).toEqual(details);
      link.close();
    },
  );
});
