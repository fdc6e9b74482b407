import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { ensureClientKey } from "../../src/ssh/openssh/keys.ts";
import type { SshTarget } from "../../src/ssh/transport/ssh-target.ts";
import { GuestProcesses } from "./guest-processes.ts";

/** How this guest's SSH server behaves; may be changed at any time. */
interface Behaviour {
  /** How many channels one connection may have open. */
  mostChannels: number;
  /** How many connections are still to be closed before the server says a word. */
  deafConnections: number;
  /** Answers an exec request with nothing at all. */
  hangs: boolean;
  /** Closes channels without an exit status. */
  forgetsExitStatus: boolean;
  /** Accepts no key. */
  refusesKeys: boolean;
  /** Breaks every connection when an exec request with this in it comes, once. */
  cutsAtExec: string | null;
}

const GOOD: Behaviour = {
  mostChannels: 1000,
  deafConnections: 0,
  hangs: false,
  forgetsExitStatus: false,
  refusesKeys: false,
  cutsAtExec: null,
};

/** An SSH server in this process whose "guest" is this host: a shell runs its commands in a home of its own, without cgroups. */
export interface SshGuest {
  readonly target: SshTarget;
  readonly home: string;
  readonly behaviour: Behaviour;
  readonly seen: { connectionsMade: number; connectionsOpen: number; channels: number; mostChannels: number };
  readonly processes: GuestProcesses;
  /** Breaks every connection, as if the cable were cut. */
  cut(): void;
  /** Ends all its processes, as the end of a machine does. */
  powerOff(): void;
  close(): Promise<void>;
}

export async function startSshGuest(shell = "/bin/bash"): Promise<SshGuest> {
  const home = mkdtempSync(join(tmpdir(), "smolvm-guest-"));
  const makeKey = (name: string) =>
    ensureClientKey({ clientKey: join(home, name), clientKeyPublic: join(home, `${name}.pub`) });
  const [clientKey, serverKey] = [await makeKey("id_client"), await makeKey("id_server")];
  const behaviour = { ...GOOD };
  const seen = { connectionsMade: 0, connectionsOpen: 0, channels: 0, mostChannels: 0 };
  const processes = new GuestProcesses(home, shell);
  const sockets = new Set<Socket>();
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };

  const serve = (client: ssh2.Connection) => {
    let channels = 0;
    client.on("error", () => {});
    client.on("authentication", (attempt) => {
      if (attempt.method === "publickey" && !behaviour.refusesKeys) attempt.accept();
      else attempt.reject(["publickey"]);
    });
    client.on("session", (accept, reject) => {
      if (channels >= behaviour.mostChannels) {
        reject();
        return;
      }
      channels++;
      seen.channels++;
      seen.mostChannels = Math.max(seen.mostChannels, channels);
      const session = accept();
      session.on("close", () => {
        channels--;
        seen.channels--;
      });
      session.on("exec", (acceptExec, _reject, { command }) => {
        if (behaviour.cutsAtExec !== null && command.includes(behaviour.cutsAtExec)) {
          behaviour.cutsAtExec = null;
          cut();
        } else if (!behaviour.hangs) processes.run(command, acceptExec(), () => behaviour.forgetsExitStatus);
      });
    });
  };

  const server = new ssh2.Server({ hostKeys: [serverKey.privateKey] }, serve);
  countConnections(server, sockets, seen, behaviour);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const target: SshTarget = {
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    user: "root",
    privateKey: clientKey.privateKey,
    hostKey: Buffer.from(serverKey.publicLine.split(" ")[1] ?? "", "base64"),
    emulated: false,
  };
  const close = async () => {
    cut();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await processes.end();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };
  return { target, home, behaviour, seen, processes, cut, powerOff: () => processes.killAll(), close };
}

/** ssh2's server keeps the one of node:net to itself, which alone sees a connection before it says anything. */
function countConnections(
  server: ssh2.Server,
  sockets: Set<Socket>,
  seen: SshGuest["seen"],
  behaviour: Behaviour,
): void {
  const { _srv: listener } = server as unknown as { _srv: NetServer };
  listener.prependListener("connection", (socket: Socket) => {
    seen.connectionsMade++;
    seen.connectionsOpen++;
    sockets.add(socket);
    socket.on("close", () => {
      seen.connectionsOpen--;
      sockets.delete(socket);
    });
    if (behaviour.deafConnections === 0) return;
    behaviour.deafConnections--;
    socket.destroy();
  });
}
