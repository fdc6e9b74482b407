import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ImageError, OperationAbortedError } from "../../../src/errors.ts";
import { type Download, type DownloadOptions, download } from "../../../src/image/download.ts";
import { fetchText } from "../../../src/image/http.ts";
import { sha256 } from "../../support/debian-fixtures.ts";
import { NO_FILES, promptly } from "../../support/no-files.ts";

const CONTENT = Buffer.from("0123456789".repeat(1000));

let folder = "";
let server: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let requests: IncomingMessage[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-download-"));
  requests = [];
  server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
const file = (content: Buffer = CONTENT): Download => ({
  url: url(),
  sha256: sha256(content),
  sizeBytes: content.length,
});
const get = (what: Download = file(), options: Partial<DownloadOptions> = {}) =>
  download(what, { folder, ...options });

/** Answers as a good server does, from where the request wants. */
function serve(request: IncomingMessage, response: ServerResponse, content = CONTENT): void {
  const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
  response.writeHead(start > 0 ? 206 : 200, { "content-length": content.length - start });
  response.end(content.subarray(start));
}

/** Breaks off after so many bytes of what it was asked for. */
function breakOff(request: IncomingMessage, response: ServerResponse, bytes: number): void {
  const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
  response.writeHead(start > 0 ? 206 : 200, { "content-length": CONTENT.length - start });
  response.write(CONTENT.subarray(start, start + bytes), () => response.destroy());
}

describe("a download", () => {
  it("is kept under its hash, and the second time nothing is fetched", async () => {
    answer = serve;
    expect(await get()).toEqual(CONTENT);
    expect(await get()).toEqual(CONTENT);
    expect(requests).toHaveLength(1);
    expect(await readdir(folder)).toEqual([sha256(CONTENT)]);
  });

  it("goes on where the connection broke", async () => {
    answer = (request, response) =>
      requests.length < 3 ? breakOff(request, response, 3000) : serve(request, response);
    let bytes = 0;
    expect(
      await get(file(), {
        onBytes: (count) => {
          bytes += count;
        },
      }),
    ).toEqual(CONTENT);
    expect(requests.map(({ headers }) => headers.range)).toEqual([undefined, "bytes=3000-", "bytes=6000-"]);
    expect(bytes).toBe(CONTENT.length);
  });

  it("goes on where an earlier process stopped, and reports what was there", async () => {
    await writeFile(join(folder, `${sha256(CONTENT)}.part`), CONTENT.subarray(0, 9000));
    answer = serve;
    let bytes = 0;
    expect(
      await get(file(), {
        onBytes: (count) => {
          bytes += count;
        },
      }),
    ).toEqual(CONTENT);
    expect(requests[0]?.headers.range).toBe("bytes=9000-");
    expect(bytes).toBe(CONTENT.length);
  });

  it("works with a server that knows no ranges", async () => {
    await writeFile(join(folder, `${sha256(CONTENT)}.part`), CONTENT.subarray(0, 9000));
    answer = (_, response) => response.end(CONTENT);
    expect(await get()).toEqual(CONTENT);
  });

  it("starts again where the earlier part was wrong", async () => {
    await writeFile(join(folder, `${sha256(CONTENT)}.part`), Buffer.alloc(9000));
    answer = serve;
    expect(await get()).toEqual(CONTENT);
    expect(requests.map(({ headers }) => headers.range)).toEqual(["bytes=9000-", undefined]);
  });

  it("is fetched again where the kept file was damaged", async () => {
    await writeFile(join(folder, sha256(CONTENT)), Buffer.alloc(CONTENT.length));
    answer = serve;
    expect(await get()).toEqual(CONTENT);
    expect(await readFile(join(folder, sha256(CONTENT)))).toEqual(CONTENT);
  });

  it.each(NO_FILES)(
    "is fetched whole where %s has the place of the kept file and of the part",
    async (_, put) => {
      const kept = join(folder, sha256(CONTENT));
      for (const path of [kept, `${kept}.part`]) put(path);
      answer = serve;
      expect(await promptly(get())).toEqual(CONTENT);
      expect(await readFile(kept)).toEqual(CONTENT);
      expect(requests.at(-1)?.headers.range).toBeUndefined();
    },
  );

  it("with a wrong hash is refused, and nothing is kept", async () => {
    answer = (request, response) => serve(request, response, Buffer.alloc(CONTENT.length));
    await expect(get()).rejects.toThrow(/refused: its SHA-256 is not the one/);
    expect(await readdir(folder)).toEqual([]);
  });

  it("that is too long is refused", async () => {
    answer = (request, response) => serve(request, response, Buffer.concat([CONTENT, CONTENT]));
    await expect(get()).rejects.toThrow(/longer than the archive's index says/);
  });

  it("that always ends too early is given up, naming how far it came", async () => {
    answer = (_, response) => response.end(CONTENT.subarray(0, 5));
    await expect(get()).rejects.toThrow(/ended after 5 of 10000 bytes/);
  });

  it("that is not there is not asked for again", async () => {
    answer = (_, response) => response.writeHead(404).end();
    await expect(get()).rejects.toThrow(/the server answered 404/);
    await expect(get()).rejects.toBeInstanceOf(ImageError);
    expect(requests).toHaveLength(2);
  });

  it("is tried again where the server has a bad moment", async () => {
    answer = (request, response) =>
      requests.length === 1 ? response.writeHead(503).end() : serve(request, response);
    expect(await get()).toEqual(CONTENT);
  });

  it("is given up and tried again where no byte comes", async () => {
    answer = (request, response) => {
      if (requests.length > 1) return serve(request, response);
      response.writeHead(200, { "content-length": CONTENT.length }).write(CONTENT.subarray(0, 100));
    };
    expect(await get(file(), { stallTimeoutMs: 200 })).toEqual(CONTENT);
    expect(requests).toHaveLength(2);
  });

  it("is ended by an abort, and what came is continued from the next time", async () => {
    const abort = new AbortController();
    answer = (_, response) => {
      response.writeHead(200, { "content-length": CONTENT.length });
      response.write(CONTENT.subarray(0, 4000));
    };
    const onBytes = (count: number) => count > 0 && abort.abort();
    await expect(get(file(), { signal: abort.signal, onBytes })).rejects.toBeInstanceOf(
      OperationAbortedError,
    );
    answer = serve;
    expect(await get()).toEqual(CONTENT);
    expect(requests.at(-1)?.headers.range).toMatch(/^bytes=[1-9]/);
  });

  it("is not taken from what is kept where it was aborted before", async () => {
    await get(file());
    const aborted = get(file(), { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toBeInstanceOf(OperationAbortedError);
  });

  it("twice at once gives the same, and leaves one file", async () => {
    answer = serve;
    const both = await Promise.all([get(), get()]);
    expect(both).toEqual([CONTENT, CONTENT]);
    expect(await readdir(folder)).toEqual([sha256(CONTENT)]);
  });
});

describe("an address that nothing answers at", () => {
  it("is named, with what to do", async () => {
    const gone = url();
    await new Promise((resolve) => server.close(resolve));
    const error = await fetchText(gone, 100).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ImageError);
    expect(error).toMatchObject({
      message: expect.stringMatching(/can't be reached: .*ECONNREFUSED/),
      remediation: expect.stringContaining("SMOLVM_DEBIAN_MIRROR"),
    });
    server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });

  it("text that is larger than it may be is refused", async () => {
    answer = serve;
    await expect(fetchText(url(), 100)).rejects.toThrow(/larger than 100 bytes/);
  });
});
