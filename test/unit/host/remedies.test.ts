import { describe, expect, it } from "vitest";
import { HostError } from "../../../src/errors.ts";
import { listPackageFiles, readPackageFile, readPackageFileNow } from "../../../src/host/package-file.ts";
import { remedyForHost } from "../../../src/host/remedies.ts";
import { hostTrouble } from "../../../src/sandbox/machine/host-trouble.ts";

const refusal = (code: string) =>
  Object.assign(new Error(`${code}: refused, open '/x'`), { code, syscall: "open", path: "/x" });

describe("what helps where the host refused something", () => {
  it.each([
    [
      "ENOSPC",
      /^Free space on the disk .*smolvm prune.*its folder cache\/downloads can be removed.*SMOLVM_HOME to a folder on another disk/,
    ],
    [
      "EDQUOT",
      /^Free space on the disk .*smolvm prune.*its folder cache\/downloads can be removed.*SMOLVM_HOME to a folder on another disk/,
    ],
    ["EACCES", /^Let this user write to the state folder .*or set SMOLVM_HOME to a folder that it may write/],
    ["EPERM", /^Let this user write to the state folder .*or set SMOLVM_HOME to a folder that it may write/],
    ["EROFS", /^Let this user write to the state folder .*or set SMOLVM_HOME to a folder that it may write/],
    ["EMFILE", /^Let this program open more files: ulimit -n/],
    ["ENFILE", /^Let this program open more files: ulimit -n/],
    ["EAGAIN", /^Let this user have more processes or memory: ulimit -a/],
    ["ENOMEM", /^Let this user have more processes or memory: ulimit -a/],
    ["EIO", /^Check the disk of the state folder .*, and that it has space left/],
    ["EINVAL", /^Check that the state folder .* is a folder of this user's, and that its disk is well/],
  ])("%s is named, and nothing else", (code, remedy) => {
    expect(remedyForHost(code)).toMatch(remedy);
    const error = hostTrouble(refusal(code));
    expect(error).toBeInstanceOf(HostError);
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    expect(error).toMatchObject({
      message: expect.stringMatching(isFull ? /^The host's disk is full: E/ : /^The host refused .*: E/),
      remediation: remedyForHost(code),
      details: { code },
    });
  });
});

describe("a file of this package that is missing", () => {
  const url = new URL("./no-such-file.sh", import.meta.url);
  const missing = {
    name: "HostError",
    message: `A file of smolvm itself is missing: ${url.pathname}.`,
    remediation: expect.stringContaining("npm install smolvm"),
  };

  it("is named, and how the package gets whole again", async () => {
    await expect(readPackageFile(url)).rejects.toMatchObject(missing);
    await expect(readPackageFile(url)).rejects.toBeInstanceOf(HostError);
    await expect(listPackageFiles(url)).rejects.toMatchObject(missing);
    expect(() => readPackageFileNow(url)).toThrow(expect.objectContaining(missing));
  });

  it("is not what is said of one that can't be read", async () => {
    const folder = new URL("./", import.meta.url);
    await expect(readPackageFile(folder)).rejects.toMatchObject({ code: "EISDIR" });
    expect(() => readPackageFileNow(folder)).toThrow(/EISDIR/);
  });
});
