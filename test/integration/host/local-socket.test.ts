import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectTo, listenAt } from "../../../src/host/local-socket.ts";
import { eventually } from "../../support/eventually.ts";

let folder = "";
let servers: Server[] = [];
let sockets: Socket[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-socket-"));
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  [servers, sockets] = [[], []];
  await rm(folder, { recursive: true });
});

/** Says `word` to whoever comes. */
async function serve(path: string, word: string): Promise<Server> {
  const server = await listenAt(path, (socket) => socket.end(word));
  servers.push(server);
  return server;
}

async function ask(path: string): Promise<string> {
  const socket = await connectTo(path);
  sockets.push(socket);
  let said = "";
  socket.on("data", (chunk) => {
    said += chunk;
  });
  await once(socket, "close");
  return said;
}

const closed = (server: Server) => once(server.close(), "close");

describe("a socket of this computer", () => {
  it("is for this user alone", async () => {
    const path = join(folder, "control.sock");
    await serve(path, "hello");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await ask(path)).toBe("hello");
  });

  it.each([103, 104, 107, 108, 109, 300])("is reached at a path of %i bytes", async (bytes) => {
    const name = "control.sock";
    const middle = "d".repeat(Math.max(1, bytes - Buffer.byteLength(folder) - name.length - 2));
    const parts = middle.match(/.{1,200}/g) ?? [];
    const deep = join(folder, ...parts);
    await mkdir(deep, { recursive: true });
    await serve(join(deep, name), "deep");
    expect(await ask(join(deep, name))).toBe("deep");
    expect(await readdir(deep)).toEqual([name]);
  });

  it("takes the place of what one who died left there", async () => {
    const path = join(folder, "control.sock");
    await writeFile(path, "");
    await serve(path, "new");
    expect(await ask(path)).toBe("new");
  });

  it("is gone with its server, and nobody answers any more", async () => {
    const path = join(folder, "control.sock");
    await closed(await serve(path, "hello"));
    expect(await readdir(folder)).toEqual([]);
    await expect(connectTo(path)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("leaves the one that stands at its path by then: its folder was removed, and another one took the name", async () => {
    const [old, path] = [join(folder, "old"), join(folder, "box", "control.sock")];
    await mkdir(join(folder, "box"));
    const first = await serve(path, "first");
    await rename(join(folder, "box"), old);
    await mkdir(join(folder, "box"));
    await serve(path, "second");
    await closed(first);
    expect(await ask(path)).toBe("second");
    expect(await readdir(old)).toEqual([]);
  });

  it("leaves the one that took its place at the same path", async () => {
    const path = join(folder, "control.sock");
    const first = await serve(path, "first");
    await serve(path, "second");
    await closed(first);
    expect(await ask(path)).toBe("second");
  });

  it("of a folder that nobody has, or of a file that is no socket, is the system's error", async () => {
    await expect(connectTo(join(folder, "none", "control.sock"))).rejects.toMatchObject({ code: "ENOENT" });
    await writeFile(join(folder, "file"), "");
    await expect(connectTo(join(folder, "file"))).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await expect(serve(join(folder, "none", "control.sock"), "")).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("keeps no folder open once it is closed, and none for a connection", async () => {
    const open = async () => (await readdir("/proc/self/fd")).length;
    const before = await open();
    const path = join(folder, "control.sock");
    const server = await serve(path, "hello");
    for (let round = 0; round < 20; round++) await ask(path);
    await closed(server);
    for (let round = 0; round < 20; round++) await connectTo(path).catch(() => {});
    await eventually(async () => (await open()) <= before, "as many open files as before");
  });
});
