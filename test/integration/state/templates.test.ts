import { existsSync, readdirSync, readFileSync, truncateSync } from "node:fs";
import { mkdir, mkdtemp, open, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acquireLock } from "../../../src/host/lock.ts";
import { DamageError } from "../../../src/state/damage.ts";
import { type StatePaths, stampsFile, statePaths, templatePaths } from "../../../src/state/paths.ts";
import {
  checkTemplate,
  discardTemplate,
  discardThisTemplate,
  doubtTemplate,
  ensureTemplatesFolder,
  findTemplate,
  listStoredTemplates,
  openTemplateDraft,
  openTemplateState,
  pruneStoredTemplates,
  publishTemplate,
  readTemplateDisk,
  type Template,
  touchTemplate,
  trustTemplate,
} from "../../../src/state/templates.ts";
import { flip } from "../../support/damage.ts";
import { NO_FILES, promptly, putFifo } from "../../support/no-files.ts";

const MIB = 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;
const UNLIMITED = { unusedMs: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
const keyOf = (n: number) => `${n}`.padStart(64, "0");

let state: StatePaths;
beforeEach(async () => {
  state = statePaths({ SMOLVM_HOME: await mkdtemp(join(tmpdir(), "smolvm-templates-")) });
  await ensureTemplatesFolder(state);
});
afterEach(() => rm(state.home, { recursive: true, force: true }));

async function make(key: string, hasDisk = true): Promise<Template> {
  const draft = await openTemplateDraft(state, key);
  const memory = await open(draft.memory, "w");
  await memory.write("in memory", 5 * MIB);
  await memory.truncate(16 * MIB);
  await memory.close();
  await writeFile(draft.state, "the state");
  await writeFile(draft.initramfs, "to boot from");
  if (hasDisk) await writeFile(draft.disk, "the disk");
  const image = { name: `image-${key.slice(-1)}`, digest: "d" };
  return publishTemplate(state, draft, {
    key,
    image,
    inputs: { a: 1 },
    shell: null,
    hostKey: "ssh-ed25519 AAAA",
  });
}

describe("a template that was published", () => {
  it.each([true, false])(
    "is found whole, with what its clones need and no more (disk: %s)",
    async (hasDisk) => {
      const made = await make(keyOf(1), hasDisk);
      const found = await findTemplate(state, keyOf(1));
      expect(found).toEqual(made);
      expect(found?.record).toMatchObject({
        key: keyOf(1),
        image: { name: "image-1" },
        hostKey: "ssh-ed25519 AAAA",
      });
      const files = ["memory", "state", "template.json", ...(hasDisk ? ["disk.qcow2"] : [])];
      expect(readdirSync(made.paths.folder).sort()).toEqual(files.sort());
      expect(readdirSync(state.templates)).toEqual([keyOf(1)]);
      expect((await stat(made.paths.record)).mode & 0o777).toBe(0o600);
      await checkTemplate(made);
    },
  );

  it("is not found under another key", async () => {
    await make(keyOf(1));
    expect(await findTemplate(state, keyOf(2))).toBeUndefined();
  });

  it("takes the place of one that is there", async () => {
    await make(keyOf(1), true);
    await make(keyOf(1), false);
    expect((await findTemplate(state, keyOf(1)))?.record.disk).toBeNull();
    expect(readdirSync(state.templates)).toEqual([keyOf(1)]);
  });

  it.each<[string, (template: Template) => unknown, RegExp]>([
    ["memory is cut short", ({ paths }) => truncateSync(paths.memory, MIB), /its memory has 1048576 bytes/],
    ["memory is gone", ({ paths }) => rm(paths.memory), /its memory is missing/],
    ["memory was written to", ({ paths }) => flip(paths.memory, 7), /its memory was changed/],
    ["record is gone", ({ paths }) => rm(paths.record), /its record is missing/],
    ["record is cut short", ({ paths }) => truncateSync(paths.record, 100), /its record is no JSON/],
    [
      "record is another one's",
      async ({ paths }) => {
        const text = readFileSync(paths.record, "utf8").replaceAll(keyOf(1), keyOf(2));
        await writeFile(paths.record, text);
      },
      /another one's/,
    ],
  ])("is refused when its %s", async (_, damage, message) => {
    await damage(await make(keyOf(1)));
    await expect(findTemplate(state, keyOf(1))).rejects.toThrow(message);
  });

  it.each(NO_FILES)("is refused where %s is in the place of one of its files", async (_, put, said) => {
    const part = async (name: "record" | "state" | "disk", use: (made: Template) => Promise<unknown>) => {
      await discardTemplate(state, keyOf(1));
      const made = await make(keyOf(1));
      put(made.paths[name]);
      const work = promptly(use(made));
      await expect(work).rejects.toThrow(name === "disk" ? /its disk/ : said);
      await expect(work).rejects.toBeInstanceOf(DamageError);
    };
    await part("record", () => findTemplate(state, keyOf(1)));
    await part("state", openTemplateState);
    await part("state", checkTemplate);
    await part("disk", readTemplateDisk);
    put(templatePaths(state, keyOf(1)).template.record);
    expect(await promptly(listStoredTemplates(state))).toEqual([]);
  });

  it("is refused where its memory was written to and its times were set back", async () => {
    const { paths } = await make(keyOf(1));
    const { atime, mtime } = await stat(paths.memory);
    await flip(paths.memory, 5 * MIB + 3);
    await utimes(paths.memory, atime, mtime);
    await expect(findTemplate(state, keyOf(1))).rejects.toThrow(/changed or replaced/);
  });

  it("is found where its times and modes were set again, and is not read a second time for it", async () => {
    const { paths } = await make(keyOf(1));
    const record = readFileSync(paths.record, "utf8");
    await utimes(paths.memory, 1, 1);
    expect((await findTemplate(state, keyOf(1)))?.paths).toEqual(paths);
    expect(readFileSync(paths.record, "utf8")).toBe(record);
    const stamps = stampsFile(paths.folder);
    const noted = await stat(stamps);
    await findTemplate(state, keyOf(1));
    expect((await stat(stamps)).ino).toBe(noted.ino); // written whole, it would be another file
    putFifo(stamps);
    expect((await promptly(findTemplate(state, keyOf(1))))?.paths).toEqual(paths);
    expect((await stat(stamps)).isFile()).toBe(true);
  });

  it.each(["record", "memory"] as const)(
    "is neither found nor damaged where the host can't read its %s at the moment",
    async (file) => {
      const { paths } = await make(keyOf(1));
      await rename(paths[file], `${paths[file]}.away`);
      await symlink("x".repeat(300), paths[file]); // ENAMETOOLONG
      const error = await findTemplate(state, keyOf(1)).catch((failure) => failure);
      expect(error).not.toBeInstanceOf(DamageError);
      expect(error).toMatchObject({ code: "ENAMETOOLONG" });
      await rename(`${paths[file]}.away`, paths[file]);
      expect(await findTemplate(state, keyOf(1))).toBeDefined();
    },
  );

  it("is neither where the caller has no time to have it read", async () => {
    const { paths } = await make(keyOf(1));
    await utimes(paths.memory, 1, 1);
    const reason = new Error("no time");
    await expect(findTemplate(state, keyOf(1), AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await findTemplate(state, keyOf(1))).toBeDefined();
  });

  it("is doubted once, and by those who began before that no further", async () => {
    const made = await make(keyOf(1));
    const before = Date.now() - 1_000;
    expect(await doubtTemplate(made, before)).toBe(false);
    expect(await doubtTemplate(made, before)).toBe(false);
    expect(await doubtTemplate(made, Date.now() + 1_000)).toBe(true);
    await trustTemplate(made);
    expect(await doubtTemplate(made, Date.now() + 1_000)).toBe(false);
  });

  it.each(["memory", "state", "disk"] as const)(
    "that differs in its %s does not pass a thorough check",
    async (file) => {
      const made = await make(keyOf(1));
      await flip(made.paths[file], 2);
      await expect(checkTemplate(made)).rejects.toThrow(/the content of its (memory|state|disk) has changed/);
    },
  );

  it.each(
    (["state", "disk"] as const).flatMap((file) => [
      [file, "cut short", 4],
      [file, "emptied", 0],
    ]),
  )("whose %s is %s does not pass it either", async (file, _, bytes) => {
    const made = await make(keyOf(1));
    truncateSync(made.paths[file], bytes);
    await expect(checkTemplate(made)).rejects.toThrow(
      new RegExp(`its ${file} has ${bytes} bytes instead of`),
    );
  });

  it("is discarded whole, and only the one that was meant", async () => {
    const first = await make(keyOf(1));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const second = await make(keyOf(1));
    await discardThisTemplate(state, first);
    expect(await findTemplate(state, keyOf(1))).toEqual(second);
    await discardThisTemplate(state, second);
    await discardTemplate(state, keyOf(1));
    expect(readdirSync(state.templates)).toEqual([]);
  });
});

describe("templates", () => {
  it("are listed with their bytes, holes left out, the one that was used last first", async () => {
    const [first] = [await make(keyOf(1)), await make(keyOf(2))];
    await utimes(templatePaths(state, keyOf(2)).template.record, 1, 1);
    await touchTemplate(first);
    const listed = await listStoredTemplates(state);
    expect(listed.map(({ record }) => record.key)).toEqual([keyOf(1), keyOf(2)]);
    expect(listed[0]?.bytes).toBeLessThan(2 * MIB);
    expect(listed[1]?.lastUsedMs).toBe(1000);
  });

  it("that nobody used for long are pruned, and the longest unused ones above the limit", async () => {
    for (const n of [1, 2, 3]) {
      await make(keyOf(n));
      const usedMs = Date.now() - n * DAY_MS;
      await utimes(templatePaths(state, keyOf(n)).template.record, usedMs / 1000, usedMs / 1000);
    }
    expect(await pruneStoredTemplates(state, UNLIMITED)).toEqual([]);
    expect(await pruneStoredTemplates(state, { ...UNLIMITED, unusedMs: 2.5 * DAY_MS })).toEqual([keyOf(3)]);
    const bytes = (await listStoredTemplates(state))[0]?.bytes ?? 0;
    expect(await pruneStoredTemplates(state, { ...UNLIMITED, bytes })).toEqual([keyOf(2)]);
    expect(readdirSync(state.templates)).toEqual([keyOf(1)]);
  });

  it("half made by somebody who died are removed by the next who makes the same, and by pruning", async () => {
    const [one, two] = [await openTemplateDraft(state, keyOf(1)), await openTemplateDraft(state, keyOf(2))];
    await writeFile(one.memory, "x");
    await openTemplateDraft(state, keyOf(1));
    expect(existsSync(one.folder)).toBe(false);
    expect(existsSync(two.folder)).toBe(true);
    const release = await acquireLock(templatePaths(state, keyOf(1)).lock, { operation: "Making it" });
    await mkdir(join(state.templates, ".discarded-x"));
    await pruneStoredTemplates(state, UNLIMITED);
    await release();
    const left = readdirSync(state.templates);
    expect(left.filter((name) => name.startsWith(`.draft-${keyOf(1)}-`))).toHaveLength(1); // its maker lives
    expect(left).toHaveLength(1);
  });

  it("that can't be understood are left alone", async () => {
    await mkdir(join(state.templates, keyOf(9)));
    await writeFile(join(state.templates, keyOf(9), "template.json"), '{"formatVersion":99}');
    expect(await listStoredTemplates(state)).toEqual([]);
    await pruneStoredTemplates(state, { unusedMs: 0, bytes: 0 });
    expect(readdirSync(state.templates)).toEqual([keyOf(9)]);
  });
});
