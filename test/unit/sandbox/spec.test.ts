import { describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { SmolVM } from "../../../src/index.ts";
import { parseSpec } from "../../../src/sandbox/machine/spec.ts";

const own = { kernelPath: "/k", rootfsPath: "/r", bootArgs: "console=ttyS0" };

describe("parseSpec", () => {
  it("fills in every default", () => {
    const { id, name, ...rest } = parseSpec();
    expect(id).toMatch(/^vm-[0-9a-f]{16}$/);
    expect(name).toMatch(/^[a-z]+-[a-z]+-[0-9a-f]{6}$/);
    expect(rest).toEqual({
      source: { kind: "image", name: "debian" },
      memoryMib: 512,
      cpus: 1,
      diskMib: 4096,
      env: {},
      network: "open",
      ports: [],
      labels: {},
      persistent: false,
      ttlMs: null,
      idleTimeoutMs: null,
      hostLimits: { memoryMib: null, cpus: null },
      template: "auto",
      accelerator: "auto",
      sshUser: "root",
      sshKeyPath: null,
    });
  });

  it.each(["a", "a1", "web-1", "a_b", "0", "x".repeat(64)])("takes the name %j", (name) => {
    expect(parseSpec({ name }).name).toBe(name);
  });

  it.each([
    "",
    "A",
    "-a",
    "a-",
    "_a",
    "a_",
    "a b",
    "../x",
    "a/b",
    "a.b",
    "é",
    "a\n",
    "x".repeat(65),
    7,
    null,
  ])("refuses the name %j", (name) => {
    expect(() => parseSpec({ name: name as string })).toThrow(/^name must be 1 to 64 characters/);
  });

  it.each([
    [{ memSizeMib: 127 }, /memSizeMib must be a whole number from 128 to 65536; given 127/],
    [{ memSizeMib: 95, image: "tiny" }, /memSizeMib must be a whole number from 96 to 65536; given 95/],
    [{ diskSizeMib: 1024 * 1024 + 1 }, /diskSizeMib must be a whole number from 1 to 1048576/],
    [{ memSizeMib: 65_537 }, /memSizeMib/],
    [{ memSizeMib: 512.5 }, /memSizeMib/],
    [{ memSizeMib: "512" }, /memSizeMib .* given "512"/],
    [{ memSizeMib: Number.NaN }, /memSizeMib/],
    [{ vcpuCount: 0 }, /vcpuCount must be a whole number from 1 to 32; given 0/],
    [{ vcpuCount: 33 }, /vcpuCount/],
    [{ diskSizeMib: 0 }, /diskSizeMib/],
    [{ network: "closed" }, /network must be one of "open", "off"; given "closed"/],
    [{ template: true }, /template must be one of/],
    [{ accelerator: "xen" }, /accelerator must be one of "auto", "kvm", "hvf", "tcg"/],
    [{ env: { "A-B": "x" } }, /a name in env must be letters, digits and _/],
    [{ env: { A: 1 } }, /env.A must be a string; given 1/],
    [{ env: { A: "a\0b" } }, /env.A must be a string without NUL/],
    [{ env: [] }, /env must be an object/],
    [{ ports: {} }, /ports must be an array/],
    [{ ports: [{ guest: 0 }] }, /ports\[0\].guest must be a whole number from 1 to 65535/],
    [{ ports: [{ guest: 80, hots: 1 }] }, /ports\[0\] has no option "hots"; did you mean "host"\?/],
    [{ ports: [{ host: 80 }] }, /ports\[0\].guest/],
    [{ labels: { a: 1 } }, /labels must be an object whose values are strings/],
    [{ sshUser: "a b" }, /sshUser must be a user name/],
    [{ sshUser: "-oProxyCommand=x" }, /sshUser/],
    [{ sshUser: "1000" }, /sshUser/],
    [{ sshKeyPath: "" }, /sshKeyPath must be a path/],
    [{ persistent: "yes" }, /persistent must be true or false; given "yes"/],
    [{ ttl: 0 }, /ttl must be a number of seconds above 0/],
    [{ ttl: 1e6 }, /ttl is in seconds; did you mean 1000\?/],
    [{ idleTimeout: "soon" }, /idleTimeout must be .*given "soon"/],
    [{ hostLimits: { memory: 1 } }, /hostLimits has no option "memory"; did you mean "memoryMib"\?/],
    [{ hostLimits: { memoryMib: 1 } }, /hostLimits.memoryMib must be a whole number from 512/],
    [{ hostLimits: { cpus: 0 } }, /hostLimits.cpus must be a number of processors/],
    [{ signal: {} }, /signal must be an AbortSignal/],
    [{ onProgress: 1 }, /onProgress must be a function/],
    [{ memSizeMb: 512 }, /SmolVM has no option "memSizeMb"; did you mean "memSizeMib"\?/],
    [{ zzzzzzzzzz: 1 }, /SmolVM has no option "zzzzzzzzzz"\. Known: name, /],
    [{ ...own, bootArgs: 1 }, /bootArgs must be one line/],
    [{ ...own, bootArgs: "a\nb" }, /bootArgs must be one line/],
    [{ ...own, kernelPath: "" }, /kernelPath must be a path/],
    [{ ...own, image: "debian" }, /image must be left out/],
    [{ kernelPath: "/k" }, /bootArgs must be one line/],
    ["debian", /SmolVM takes one object of options; given "debian"/],
  ])("refuses %j", (options, message) => {
    const parse = () => parseSpec(options as never);
    expect(parse).toThrow(ValidationError);
    expect(parse).toThrow(message);
  });

  it("keeps one's own kernel and disk, with absolute paths", () => {
    expect(parseSpec({ ...own, initrdPath: "initrd" }).source).toEqual({
      kind: "own",
      kernelPath: "/k",
      initrdPath: `${process.cwd()}/initrd`,
      rootfsPath: "/r",
      bootArgs: "console=ttyS0",
    });
  });

  it("copies what the caller may change later", () => {
    const env = { A: "1" };
    const spec = parseSpec({ env });
    env.A = "2";
    expect(spec.env).toEqual({ A: "1" });
  });
});

it("SmolVM.use() without a function makes no machine", async () => {
  await expect(SmolVM.use({}, undefined as never)).rejects.toThrow("a function");
  await expect(SmolVM.use({}, undefined as never)).rejects.toBeInstanceOf(ValidationError);
});
