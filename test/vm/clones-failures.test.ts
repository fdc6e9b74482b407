import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { doctor, SmolVM } from "../../src/index.ts";
import { savedMachinePaths, templatePaths } from "../../src/state/paths.ts";
import { DAMAGES, flip } from "../support/damage.ts";
import { eventually } from "../support/eventually.ts";
import { firstLine, startProgram } from "../support/machines.ts";
import { CLONE, giveOtherDigest, type OwnHome, useOwnHome, wrapQemu } from "../support/templates.ts";

let home: OwnHome;
const openHome = async () => {
  home = await useOwnHome();
};
const closeHome = () => home[Symbol.asyncDispose]();
const requireNothingLeft = async () => {
  expect(home.machines()).toEqual([]);
  await eventually(
    () => home.templates().others.length === 0,
    `nothing half made is left: ${home.templates().others}`,
  );
};
/** Vitest calls the hooks after a test from the last one on. */
function eachInOwnHome(): void {
  beforeEach(openHome);
  afterEach(closeHome);
  afterEach(requireNothingLeft);
}
/** For tests that can go on with the template that the one before them has left. */
function allInOneHome(): void {
  beforeAll(openHome);
  afterAll(closeHome);
  afterEach(requireNothingLeft);
}

/** Starts a machine, asks it something, and tells which way it started and what was warned of. */
async function useOne(kind: { readonly image: string } = CLONE) {
  const warnings: string[] = [];
  const logger = { warn: (message: string) => warnings.push(message) };
  return SmolVM.use({ ...CLONE, ...kind, logger }, async (vm) => {
    const { output } = await vm.run("hostname; ls /etc/profile; cat /proc/sys/kernel/random/uuid", {
      check: true,
    });
    expect(output).toMatch(new RegExp(`^${vm.name}\n/etc/profile\n[0-9a-f-]{36}$`));
    const { boot } = await vm.info();
    return { way: boot?.way, reason: boot?.wayReason, warnings: warnings.join("\n") };
  });
}

const allTemplates = () => home.templates().whole.map((key) => templatePaths(home.state, key).template);
const onlyTemplate = (image = "tiny") => {
  const imageOf = (record: string) => JSON.parse(readFileSync(record, "utf8")).image.name;
  const [template, ...more] = allTemplates().filter(({ record }) => imageOf(record) === image);
  expect(more).toEqual([]);
  if (!template) throw new Error(`There is no template of "${image}".`);
  return template;
};

describe("a template that is damaged", () => {
  allInOneHome();

  // Every way in which a file can differ is tried where the file is looked at: see the tests of templates that are kept.
  it.each([
    ["memory", "changed in one bit, its times set back,", "tiny", "template"],
    ["state", "changed in one bit", "tiny", "cold"],
    ["disk", "changed in one bit", "debian", "cold"],
    ["record", "cut short", "tiny", "template"],
  ] as const)(
    "in its %s, %s is named and made again, and the machine is right",
    async (file, how, image, way) => {
      await useOne({ image });
      await DAMAGES[how]?.(onlyTemplate(image)[file]);
      const used = await useOne({ image });
      expect(used.way).toBe(way);
      expect(used.warnings).toMatch(new RegExp(`its ${file}`));
      expect(await useOne({ image })).toEqual({ way: "template", reason: "", warnings: "" });
    },
    240_000,
  );

  it("where QEMU does not take it back is discarded, and the machine boots", async () => {
    await useOne();
    const { record, state } = onlyTemplate();
    const broken = readFileSync(state).fill(0, 5000, 9000);
    const sha256 = createHash("sha256").update(broken).digest("hex");
    const value = JSON.parse(readFileSync(record, "utf8"));
    writeFileSync(state, broken);
    writeFileSync(record, JSON.stringify({ ...value, state: { bytes: broken.length, sha256 } }));
    const used = await useOne();
    expect(used.way).toBe("cold");
    expect(used.warnings).toMatch(/is booted instead: a clone could not be started/);
    expect(() => onlyTemplate()).toThrow(/no template/);
  });

  it("because another's memory came in its place while QEMU started is seen before the guest runs", async () => {
    await useOne();
    const { memory } = onlyTemplate();
    const wrapper = wrapQemu(join(home.state.home, "bin"));
    const path = process.env.PATH;
    process.env.PATH = `${wrapper.path}:${path}`;
    try {
      const before = home.templates().whole;
      await useOne(); // a template for this QEMU, which is another one
      const [other = ""] = home.templates().whole.filter((key) => !before.includes(key));
      const mine = templatePaths(home.state, other).template.memory;
      wrapper.before(`mv '${memory}' '${mine}'`);
      const used = await useOne();
      expect(used.way).toBe("cold");
      expect(used.warnings).toMatch(/its memory was changed or replaced/);
      wrapper.before("");
      await useOne(); // it is made again
      wrapper.before(`touch '${mine}'; exit 1`);
      const refused = await useOne();
      expect(refused.way).toBe("cold");
      expect(refused.warnings).toMatch(/QEMU ended with exit code 1/);
      wrapper.before("");
      expect(await useOne()).toEqual({ way: "template", reason: "", warnings: "" }); // nothing was wrong with it
    } finally {
      process.env.PATH = path;
      for (const { folder } of allTemplates()) rmSync(folder, { recursive: true });
    }
  }, 240_000);

  it("is not taken to be so where an emulated guest panicked: it is made, or the clone started, once more", async () => {
    const wrapper = wrapQemu(join(home.state.home, "panicking"));
    const path = process.env.PATH;
    process.env.PATH = `${wrapper.path}:${path}`;
    const made = { way: "template", reason: "" };
    const why = "The guest's kernel panicked: made up\\.$";
    try {
      wrapper.panic("next");
      const warnings = expect.stringMatching(`^The template is begun once more: ${why}`);
      expect(await useOne()).toEqual({ ...made, warnings });
      wrapper.panic("next");
      const again = expect.stringMatching(`^"\\S+" is started once more: ${why}`);
      expect(await useOne()).toEqual({ ...made, warnings: again });
      wrapper.panic("every");
      const reason = expect.stringMatching(/panicked: made up/);
      expect(await useOne()).toMatchObject({ way: "cold", reason });
    } finally {
      process.env.PATH = path;
      for (const { folder } of allTemplates()) rmSync(folder, { recursive: true });
    }
  }, 240_000);

  it("is told by the doctor, who reads all of it", async () => {
    await useOne();
    const look = async () => (await doctor()).checks.find(({ name }) => name === "templates");
    expect(await look()).toMatchObject({
      ok: true,
      detail: expect.stringMatching(/^1, 0\.\d GiB \(tiny\)$/),
    });
    await flip(onlyTemplate().state, 100);
    expect(await look()).toMatchObject({ ok: false, remediation: `rm -r ${onlyTemplate().folder}` });
  });
});

describe("a template is not used", () => {
  eachInOwnHome();

  it("for another memory size, another image, or another version of QEMU", async () => {
    await SmolVM.use({ ...CLONE, memSizeMib: 400 }, async (vm) => {
      const { output } = await vm.run("grep MemTotal /proc/meminfo");
      expect(Number(output.replace(/\D/g, ""))).toBeGreaterThan(256 * 1024);
    });
    await useOne();
    expect(home.templates().whole).toHaveLength(2);
    giveOtherDigest(home.state);
    await useOne();
    expect(home.templates().whole).toHaveLength(3);
    const features = readFileSync(home.state.qemuFeatures, "utf8");
    writeFileSync(home.state.qemuFeatures, features.replace(/"version":"[^"]+"/, '"version":"7.2.99"'));
    // Another process: this one remembers what its QEMU is.
    const program = startProgram(tellWay(), [], home.env);
    expect(await firstLine(program)).toEqual(["template", ""]);
    await ended(program);
    expect(home.templates().whole).toHaveLength(4);
  });
});

async function ended(program: ChildProcess): Promise<number | null> {
  if (program.exitCode === null && program.signalCode === null) await once(program, "exit");
  return program.exitCode;
}

const tellWay = (more: object = {}) =>
  `await SmolVM.use(${JSON.stringify({ ...CLONE, ...more })}, async (vm) => {
    await vm.run("true", { check: true });
    const { boot } = await vm.info();
    tell([boot.way, boot.wayReason]);
  });`;

describe("a program that is killed while it makes a template", () => {
  eachInOwnHome();

  it("at any step leaves nothing that keeps the next one from making it", async () => {
    const draft = () => home.templates().others.find((name) => name.startsWith(".draft-"));
    const has = (file: "memory" | "record" | "state" | "disk") => () => {
      const name = draft();
      return (
        name !== undefined &&
        existsSync(savedMachinePaths(join(home.state.templates, name), "template")[file])
      );
    };
    const afterMs = (ms: number) => {
      const endMs = Date.now() + ms;
      return () => Date.now() > endMs;
    };
    const onceReached = (isReached: () => boolean, ms: number) => {
      let reachedMs = Number.POSITIVE_INFINITY;
      return () => {
        if (isReached()) reachedMs = Math.min(reachedMs, Date.now());
        return Date.now() > reachedMs + ms;
      };
    };
    const steps: [string, () => () => boolean][] = [
      ["the lock is taken", () => () => home.templates().others.length > 0],
      ["the draft is there", () => () => draft() !== undefined],
      ["QEMU has its memory", () => has("memory")],
      ["the guest boots", () => afterMs(1_500)],
      ["the guest is used", () => afterMs(3_000)],
      ["the state is written", () => has("state")],
      ["it rehearses being a clone", () => onceReached(has("state"), 300)],
      ["it is used as a clone", () => onceReached(has("state"), 1_000)],
      ["the record is written", () => has("record")],
    ];
    for (const [what, begin] of steps) {
      const program = startProgram(
        `await SmolVM.create(${JSON.stringify(CLONE)}); setInterval(() => {}, 1000);`,
        [],
        home.env,
      );
      const isReached = begin();
      while (!isReached() && home.templates().whole.length === 0) await new Promise((r) => setTimeout(r, 1));
      program.kill("SIGKILL");
      await once(program, "close");
      await eventually(() => home.machines().length === 0, `the machine is gone (${what})`);
      // One that came through in time is right as well, but the next step wants to begin without.
      for (const key of home.templates().whole)
        rmSync(templatePaths(home.state, key).template.folder, { recursive: true });
    }
    expect(await useOne()).toEqual({ way: "template", reason: "", warnings: "" });
    onlyTemplate();
  }, 240_000);
});

describe("two programs at once", () => {
  eachInOwnHome();

  it("make one template, and both start from it", async () => {
    const programs = [startProgram(tellWay(), [], home.env), startProgram(tellWay(), [], home.env)];
    const ways = await Promise.all(programs.map(firstLine));
    expect(ways).toEqual([
      ["template", ""],
      ["template", ""],
    ]);
    await Promise.all(programs.map(ended));
    onlyTemplate();
  });
});

describe("a host without space", () => {
  eachInOwnHome();

  it.each([
    ["from the beginning", 200, "", /too little space to make one/],
    ["while the template is made", 340, "fill();", /making the template failed/],
  ])("%s boots its machines", async (_, megabytes, then, reason) => {
    const small = join(home.state.home, "small");
    mkdirSync(small);
    const asRoot = process.getuid?.() === 0 ? [] : ["--map-root-user"];
    const mount = `mount -t tmpfs -o size=${megabytes}m none ${small} && mkdir ${small}/images && mount --rbind ${home.state.images} ${small}/images && exec "$@"`;
    const body = `import { appendFileSync, existsSync, readdirSync, rmSync } from "node:fs";
      const [templates, filler] = ["${small}/templates", "${small}/filler"];
      const drafts = () => (existsSync(templates) ? readdirSync(templates).filter((name) => name.startsWith(".draft")) : []);
      const fill = () => setTimeout(() => {
        if (drafts().length === 0) return fill();
        try { for (;;) appendFileSync(filler, Buffer.alloc(1 << 20, 1)); } catch {}
        const wait = () => setTimeout(() => (drafts().length > 0 ? wait() : rmSync(filler)), 5);
        wait();
      }, 5);
      ${then}
      ${tellWay()}
      tell(drafts());`;
    const env = { ...home.env, SMOLVM_HOME: small };
    const program = startProgram(body, ["unshare", "--mount", ...asRoot, "sh", "-c", mount, "sh"], env);
    const [way, why] = (await firstLine(program)) as [string, string];
    expect(way).toBe("cold");
    expect(why).toMatch(reason);
    expect(await ended(program)).toBe(0);
  });
});
