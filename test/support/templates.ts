import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildImage } from "../../src/index.ts";
import { type StatePaths, statePaths } from "../../src/state/paths.ts";
import { generateName } from "../../src/util/names.ts";

/** Emulation, so that which accelerator works need not be tried in each new state folder. */
export const CLONE = { image: "tiny", memSizeMib: 256, accelerator: "tcg" } as const;

export const named = () => ({ ...CLONE, name: generateName() });

/** A state folder of a test's own, with the images of the ordinary one and no templates. */
export interface OwnHome extends AsyncDisposable {
  readonly state: StatePaths;
  readonly env: NodeJS.ProcessEnv;
  /** What lies among the templates: keys of templates, and the names of what is under way or was left. */
  templates(): { readonly whole: string[]; readonly others: string[] };
  machines(): string[];
}

/**
 * From now on the library uses it in this process too. `templates: "ordinary"`: those of the ordinary one, with its key, for tests that are
 * not about them.
 */
export async function useOwnHome(kind: { readonly templates?: "ordinary" } = {}): Promise<OwnHome> {
  for (const image of ["tiny", "debian"]) await buildImage(image);
  const ordinary = process.env.SMOLVM_HOME;
  const { images, ...ours } = statePaths();
  const home = mkdtempSync(join(tmpdir(), "smolvm-clones-"));
  const state = statePaths({ SMOLVM_HOME: home });
  mkdirSync(state.images, { mode: 0o700 });
  for (const name of readdirSync(images).filter((each) => !each.startsWith(".")))
    symlinkSync(join(images, name), join(state.images, name));
  if (kind.templates === "ordinary") {
    for (const shared of ["templates", "keys", "cache"] as const) {
      mkdirSync(ours[shared], { recursive: true, mode: 0o700 });
      symlinkSync(ours[shared], state[shared]);
    }
  }
  process.env.SMOLVM_HOME = home;
  const list = (folder: string) => {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  };
  return {
    state,
    env: { ...process.env },
    templates() {
      const names = list(state.templates);
      const isWhole = (name: string) => /^[0-9a-f]{64}$/.test(name);
      return { whole: names.filter(isWhole), others: names.filter((name) => !isWhole(name)) };
    },
    machines: () => list(state.machines),
    async [Symbol.asyncDispose]() {
      if (ordinary === undefined) delete process.env.SMOLVM_HOME;
      else process.env.SMOLVM_HOME = ordinary;
      rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

interface WrappedQemu {
  /** A folder for PATH. */
  readonly path: string;
  /** From now on QEMU gets these arguments too. */
  give(...args: string[]): void;
  /** From now on this shell code runs before QEMU begins to restore a machine. */
  before(code: string): void;
  /** From now on the guest's kernel seems to panic where a machine is restored: the next one's, or every one's. */
  panic(whose: "next" | "every"): void;
}

/** A QEMU of the test's own: another program, so that templates made with it are its own too. */
export function wrapQemu(folder: string): WrappedQemu {
  mkdirSync(folder);
  const [extra, first, panicked] = ["extra", "first", "panicked"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(first, "");
  const program = join(folder, "qemu-system-x86_64");
  writeFileSync(extra, "");
  writeFileSync(
    program,
    `#!/bin/sh\ncase "$*" in *-incoming*) . '${first}' ;; esac\nexec /usr/bin/qemu-system-x86_64 "$@" $(cat '${extra}')\n`,
  );
  chmodSync(program, 0o755);
  return {
    path: folder,
    give: (...args) => writeFileSync(extra, args.join(" ")),
    before: (code) => writeFileSync(first, code),
    panic(whose) {
      const panic = "printf 'Kernel panic - not syncing: made up\\r\\n' >&4; exit 0"; // the console
      rmSync(panicked, { force: true });
      writeFileSync(
        first,
        whose === "every" ? panic : `[ -e '${panicked}' ] || { >'${panicked}'; ${panic}; }`,
      );
    },
  };
}

/** The same image under another digest, as if it had been built of other packages. */
export function giveOtherDigest(state: StatePaths): void {
  const [name = ""] = readdirSync(state.images).filter((each) => each.startsWith("tiny-"));
  for (const each of readdirSync(state.images).filter((other) => other.startsWith("tiny-"))) {
    const folder = join(state.images, each);
    const copy = join(state.home, each);
    cpSync(folder, copy, { recursive: true, dereference: true });
    rmSync(folder);
    const manifest = join(copy, "image.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"digest": "..../, '"digest": "0000'));
    cpSync(copy, folder, { recursive: true });
    rmSync(copy, { recursive: true });
  }
  if (name === "") throw new Error("There is no image of that name.");
}
