import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runTool } from "../../../src/host/run-tool.ts";
import { openSocketFolder } from "../../../src/qemu/socket-folder.ts";

let home = "";
const temporary = process.env.TMPDIR;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "smolvm-socket-"));
});
afterEach(() => {
  if (temporary === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = temporary;
  rmSync(home, { recursive: true });
});

function folderOfBytes(bytes: number): string {
  const folder = join(home, "x".repeat(Math.max(1, bytes - home.length - 1)));
  mkdirSync(folder);
  return folder;
}

async function say(path: string): Promise<string> {
  const server = createServer((socket) => socket.end("hello"));
  server.listen(path);
  await once(server, "listening");
  const socket = connect(path);
  const [said] = await once(socket, "data");
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  return String(said);
}

describe("a socket for QEMU", () => {
  it.each([80, 200])(
    "lies in the folder that is cleaned up, of %i bytes, whatever TMPDIR says",
    async (bytes) => {
      process.env.TMPDIR = "/nonexistent/folder";
      const folder = folderOfBytes(bytes);
      const opened = await openSocketFolder(folder);
      expect(Buffer.byteLength(opened.socketPath)).toBeLessThan(104);
      expect(await say(opened.socketPath)).toBe("hello");
      expect(readdirSync(folder)).toHaveLength(1);
      await opened.remove();
      await opened.remove();
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  it("is not the next one's when it is removed late, by its path", async () => {
    const folder = folderOfBytes(200);
    const first = await openSocketFolder(folder);
    await first.remove();
    const second = await openSocketFolder(folder); // with the same descriptor
    expect(dirname(second.socketPath)).toBe(dirname(first.socketPath));
    const server = createServer((socket) => socket.end("hello"));
    server.listen(second.socketPath);
    await once(server, "listening");
    rmSync(first.socketPath, { force: true });
    expect(existsSync(second.socketPath)).toBe(true);
    await new Promise((resolve) => server.close(resolve));
    await second.remove();
  });

  it("is reached by other processes too", async () => {
    const opened = await openSocketFolder(folderOfBytes(200));
    const server = createServer((socket) => socket.end("hello"));
    server.listen(opened.socketPath);
    await once(server, "listening");
    const code = `require("net").connect(${JSON.stringify(opened.socketPath)}).pipe(process.stdout)`;
    expect((await runTool(process.execPath, ["-e", code])).stdout).toBe("hello");
    await new Promise((resolve) => server.close(resolve));
    await opened.remove();
  });

  it("lies elsewhere where a host has no short names for long paths and TMPDIR is missing", async () => {
    process.env.TMPDIR = "/nonexistent/folder";
    const opened = await openSocketFolder(folderOfBytes(200), "darwin");
    expect(statSync(dirname(opened.socketPath)).mode & 0o777).toBe(0o700);
    expect(await say(opened.socketPath)).toBe("hello");
    await opened.remove();
    expect(existsSync(dirname(opened.socketPath))).toBe(false);
  });
});
