import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { createCleartextMessage, generateKey, readPrivateKey, sign } from "openpgp";
import {
  type FixtureFile,
  makeBzImage,
  makeDeb,
  makeModule,
  makeProgram,
  sha256,
} from "./debian-fixtures.ts";

/** A Debian archive on this host, with packages of a few bytes and a key of its own. */
export interface FakeMirror {
  readonly url: string;
  /** ASCII-armoured. */
  readonly publicKey: string;
  /** Paths that were asked for, below the mirror's address. */
  readonly requests: string[];
  /** What is served, by path; tests may change it. */
  readonly files: Map<string, Buffer>;
  /** Adds or replaces a package, and signs the index again. */
  publish(
    name: string,
    version: string,
    fields: string,
    files: Readonly<Record<string, FixtureFile>>,
  ): Promise<void>;
  close(): Promise<void>;
}

const LIB = "usr/lib/x86_64-linux-gnu";
const LOADER = "/lib64/ld-linux-x86-64.so.2";
const KERNEL = "linux-image-9.9-cloud-amd64";
const BUSYBOX = Buffer.from("busybox[\0[[\0ash\0cat\0sh\0zcat\0\0", "latin1");

export async function startFakeMirror(): Promise<FakeMirror> {
  const { privateKey, publicKey } = await generateKey({
    userIDs: [{ name: "fake archive" }],
    type: "ecc",
    curve: "ed25519Legacy",
    format: "armored",
  });
  const files = new Map<string, Buffer>();
  const paragraphs = new Map<string, string>();
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "").slice(1);
    requests.push(path);
    const content = files.get(path);
    response.writeHead(content ? 200 : 404).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  const signIndex = async (): Promise<void> => {
    const index = gzipSync([...paragraphs.values()].join("\n"));
    const path = "main/binary-amd64/Packages.gz";
    files.set(`dists/trixie/${path}`, index);
    const text = `Codename: trixie\nSHA256:\n ${sha256(index)} ${index.length} ${path}\n`;
    const signingKeys = await readPrivateKey({ armoredKey: privateKey });
    const inRelease = await sign({ message: await createCleartextMessage({ text }), signingKeys });
    files.set("dists/trixie/InRelease", Buffer.from(inRelease));
  };
  const publish: FakeMirror["publish"] = async (name, version, fields, content) => {
    const head = `Package: ${name}\nVersion: ${version}\nArchitecture: amd64\n${fields}`;
    const deb = await makeDeb({ control: `${head}Description: made up\n` }, content);
    const filename = `pool/${name}_${version}.deb`;
    files.set(filename, deb);
    paragraphs.set(name, `${head}Filename: ${filename}\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\n`);
    await signIndex();
  };
  for (const [name, fields, content] of PACKAGES) await publish(name, "1.0", fields, content);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    publicKey,
    requests,
    files,
    publish,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const tool = (...needed: string[]) => ({ data: makeProgram([...needed, "libc.so.6"], LOADER), mode: 0o755 });
const module = (name: string, ...depends: string[]) => ({
  [`usr/lib/modules/9.9/kernel/${name}.ko`]: { data: makeModule(depends) },
});

/** As few as both images can be made of. */
const PACKAGES: readonly (readonly [name: string, fields: string, files: Record<string, FixtureFile>])[] = [
  ["linux-image-cloud-amd64", `Depends: ${KERNEL} (= 1.0)\n`, {}],
  [
    KERNEL,
    "Depends: initramfs-tools\n",
    {
      "boot/vmlinuz-9.9": { data: makeBzImage(gzipSync("\x7fELF kernel")) },
      ...module("virtio_blk"),
      ...module("virtio_net", "failover"),
      ...module("failover"),
      ...module("virtio-rng"),
    },
  ],
  [
    "libc6",
    "Multi-Arch: same\n",
    { [`${LIB}/libc.so.6`]: tool(), [LOADER.slice(1)]: { data: makeProgram([]) } },
  ],
  ["busybox-static", "", { "usr/bin/busybox": { data: BUSYBOX, mode: 0o755 } }],
  ["dropbear-bin", "Depends: libc6\n", { "usr/sbin/dropbear": tool() }],
  ["e2fsprogs", "Pre-Depends: libc6\n", { "usr/sbin/mkfs.ext4": tool(), "usr/sbin/tune2fs": tool() }],
  [
    "base-files",
    "Priority: required\nPre-Depends: awk\n",
    { "etc/issue": { data: "made up" }, bin: { link: "usr/bin" } },
  ],
  ["mawk", "Priority: required\nProvides: awk\n", { "usr/bin/mawk": tool() }],
  ["apt", "Depends: libc6\n", {}],
  ["ca-certificates", "", {}],
  ["iproute2", "", {}],
  ["netbase", "", {}],
  ["inotify-tools", "Depends: libc6\n", { "usr/bin/inotifywait": tool() }],
  ["openssh-sftp-server", "Depends: libc6\n", { "usr/lib/openssh/sftp-server": tool() }],
  ["procps", "", {}],
];
