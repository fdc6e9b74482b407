import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/cli.ts";
import { fakeIo } from "../setup/fake-io.ts";
import { commandResult, recordingRun } from "../support/fake-commands.ts";

async function perform(
  argv: string[],
  { exitCode = 0, input, isTTY = false }: { exitCode?: number; input?: string; isTTY?: boolean } = {},
) {
  const { run, asked } = recordingRun(exitCode);
  let machine: Record<string, unknown> = {};
  const SmolVM = {
    use: (options: typeof machine, body: (vm: object) => Promise<unknown>) => {
      machine = options;
      return body({ run });
    },
  };
  const io = fakeIo({ SmolVM }, { isTTY, ...(input === undefined ? {} : { input }) });
  const status = await runCli(argv, io);
  const [call] = asked;
  if (!call) throw new Error(`nothing was run: ${io.err()}`);
  return { status, out: io.out(), err: io.err(), machine, ...call };
}

describe("smolvm run", () => {
  it("passes several words on as argv, and one as a script", async () => {
    expect((await perform(["run", "--", "uname", "-a"])).command).toEqual(["uname", "-a"]);
    expect((await perform(["run", "--", "a && b"])).command).toBe("a && b");
  });

  it("prints the two streams apart, each byte once, and ends with the guest's status", async () => {
    const { status, out, err } = await perform(["run", "x"], { exitCode: 7 });
    expect({ status, out, err }).toEqual({ status: 7, out: "out", err: "err" });
  });

  it("gives the library only what was asked for: defaults are the library's", async () => {
    const { machine, options } = await perform(["run", "x"]);
    expect(Object.keys(machine).sort()).toEqual(["onProgress", "signal"]);
    expect(Object.keys(options).sort()).toEqual(["signal", "stdin", "timeout"]);
    expect(options.timeout).toBeNull();
  });

  it("turns its flags into the library's options", async () => {
    const flags =
      "--image tiny --memory 1G --cpus 2 --disk 8G -e A=1 --network off --accelerator tcg --template off".split(
        " ",
      );
    const { machine, options } = await perform(["run", ...flags, "--timeout", "5s", "--shell", "raw", "x"]);
    expect(machine).toMatchObject({
      image: "tiny",
      memSizeMib: 1024,
      vcpuCount: 2,
      diskSizeMib: 8192,
      env: { A: "1" },
      network: "off",
      accelerator: "tcg",
      template: "off",
    });
    expect(options).toMatchObject({ timeout: "5s", shell: "raw" });
  });

  it("takes the flags of machines that stay, too, but is gone afterwards all the same", async () => {
    const flags =
      "--name job --label a=1 --port 8080:80 --ttl 1h --idle-timeout 5m --host-cpus 1 --user bob --cwd /srv";
    const { machine, options } = await perform(["run", ...flags.split(" "), "x"]);
    expect(machine).toEqual({
      name: "job",
      labels: { a: "1" },
      ports: [{ guest: 80, host: 8080 }],
      ttl: "1h",
      idleTimeout: "5m",
      hostLimits: { cpus: 1 },
      signal: expect.any(AbortSignal),
      onProgress: expect.any(Function),
    });
    expect(options).toMatchObject({ user: "bob", cwd: "/srv" });
  });

  it("passes standard input on where it is no terminal", async () => {
    expect((await perform(["run", "cat"], { input: "hello" })).input).toBe("hello");
    expect((await perform(["run", "cat"], { isTTY: true })).options.stdin).toBeUndefined();
  });

  it("--json is the result as one document, nothing streamed, and the guest's status still", async () => {
    const { status, out, err, isIterated } = await perform(["run", "--json", "x"], { exitCode: 3 });
    const { stdoutBytes: _out, stderrBytes: _err, ...document } = commandResult;
    expect(JSON.parse(out)).toEqual({ ...document, exitCode: 3, ok: false });
    expect({ status, err }).toEqual({ status: 3, err: "" });
    expect(isIterated).toBe(false);
  });
});

describe("smolvm doctor", () => {
  const checks = [
    { name: "qemu", ok: true, detail: "QEMU 7.2" },
    { name: "accelerator", ok: false, detail: "kvm does not run guests", remediation: "load kvm_intel" },
  ];
  const doctor = (ok: boolean) => ({ doctor: async () => ({ ok, checks }) });

  it("prints a line for each check, the remediation below, and ends with 125 where machines can't run", async () => {
    const io = fakeIo(doctor(false));
    expect(await runCli(["doctor"], io)).toBe(125);
    expect(io.out()).toBe(
      "ok  qemu         QEMU 7.2\n--  accelerator  kvm does not run guests\n                 load kvm_intel\n\nMachines can't run here yet.\n",
    );
  });

  it("ends with 0 where they can, and prints the report as JSON", async () => {
    const io = fakeIo(doctor(true));
    expect(await runCli(["doctor", "--json"], io)).toBe(0);
    expect(JSON.parse(io.out())).toEqual({ ok: true, checks });
  });
});

describe("smolvm image", () => {
  const image = {
    name: "debian",
    arch: "x86_64",
    digest: "d".repeat(64),
    kernelVersion: "6.12",
    createdAt: "2025-01-01T00:00:00.000Z",
    current: true,
    kernelPath: "/i/k",
    initramfsPath: "/i/r",
    rootfsPath: null,
    sizeBytes: 40 * 1024 * 1024,
    packages: [],
  };

  it("ls is a table, or a document", async () => {
    const older = { ...image, createdAt: "2024-01-01T00:00:00.000Z", current: false };
    const api = { listImages: async () => [image, older] };
    const io = fakeIo(api);
    expect(await runCli(["image", "ls"], io)).toBe(0);
    expect(io.out()).toBe(
      [
        "NAME    ARCH    CURRENT  CREATED                   SIZE",
        "debian  x86_64  yes      2025-01-01T00:00:00.000Z  40 MiB",
        "debian  x86_64  no       2024-01-01T00:00:00.000Z  40 MiB\n",
      ].join("\n"),
    );
    const json = fakeIo(api);
    await runCli(["image", "ls", "--json"], json);
    expect(JSON.parse(json.out()).images).toMatchObject([
      { name: "debian", current: true },
      { name: "debian", current: false },
    ]);
  });

  it("build builds debian unless told otherwise, and shows what came of it", async () => {
    const built: unknown[] = [];
    const buildImage = async (name: string, { rebuild }: { rebuild: boolean }) => {
      built.push([name, rebuild]);
      return image;
    };
    const io = fakeIo({ buildImage });
    await runCli(["image", "build"], io);
    await runCli(["image", "build", "tiny", "--rebuild"], io);
    expect(built).toEqual([
      ["debian", false],
      ["tiny", true],
    ]);
    expect(io.out()).toContain("kernelPath:    /i/k\n");
  });

  it("rm removes each, and names them", async () => {
    const removed: string[] = [];
    const io = fakeIo({ deleteImage: async (name: string) => void removed.push(name) });
    expect(await runCli(["image", "rm", "a", "b"], io)).toBe(0);
    expect(removed).toEqual(["a", "b"]);
    expect(io.out()).toBe("a\nb\n");
  });
});
