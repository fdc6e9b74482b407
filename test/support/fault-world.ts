import {
  cpSync,
  existsSync,
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
import { fileURLToPath } from "node:url";
import { buildImage } from "../../src/index.ts";
import { machinePaths, type StatePaths, statePaths } from "../../src/state/paths.ts";
import { Actor } from "./fault-actor.ts";
import { listPorts, listProcesses, listSocketPaths, type WorldProcess } from "./fault-processes.ts";

const SHIM = fileURLToPath(new URL("fault-shim.mjs", import.meta.url));
/** A user who is not root may make a PID namespace only together with a user namespace, where the kernel lets him. */
const OTHER_NAMESPACE = [
  ...["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...(process.getuid?.() === 0 ? [] : ["--map-root-user"]),
];

/** A state folder of its own, on a disk of its own where one is asked for, and the programs that use it. */
export class World {
  readonly state: StatePaths;
  readonly temporary: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #wrap: readonly string[];
  #creator: Actor;
  #observer: Actor;

  private constructor(home: string, wrap: readonly string[]) {
    this.state = statePaths({ SMOLVM_HOME: home });
    this.temporary = join(home, "tmp");
    const ordinary = { ...process.env, SMOLVM_HOME: home, TMPDIR: this.temporary };
    this.#env = wrap.length > 0 ? ordinary : { ...ordinary, ...makeShim(home) };
    this.#wrap = wrap;
    this.#creator = new Actor(this.#env, wrap);
    this.#observer = this.isSmall ? this.#creator : new Actor(this.#env);
  }

  static async open(): Promise<World> {
    const home = await makeHome();
    mkdirSync(join(home, "tmp"));
    cpSync(statePaths().cache, join(home, "cache"), { recursive: true });
    return new World(home, []);
  }

  /** One whose disk is a small one in memory, that only its programs see: there is only one of them, which is both. */
  static async openSmall(mebibytes: number): Promise<World> {
    const home = await makeHome();
    const script = `set -e
      mount -t tmpfs -o size=${mebibytes}m none ${home}.disk
      mkdir ${home}.disk/tmp
      cp -r ${home}/images ${home}.disk/images
      mount --bind ${home}.disk ${home}
      exec "$@"`;
    mkdirSync(`${home}.disk`);
    const asRoot = process.getuid?.() === 0 ? [] : ["--map-root-user"];
    return new World(home, ["unshare", "--mount", ...asRoot, "sh", "-c", script, "sh"]);
  }

  get isSmall(): boolean {
    return this.#wrap.length > 0;
  }

  get creator(): Actor {
    return this.#creator;
  }

  get observer(): Actor {
    return this.#observer;
  }

  /** One more program; it ends with this one. */
  newActor(): Actor {
    return new Actor(this.#env);
  }

  /** One more in another PID namespace, as in a container that shares the state folder. */
  newStranger(): Actor {
    return new Actor(this.#env, OTHER_NAMESPACE);
  }

  /** Has the world's programs do themselves a fault: see fault-shim.mjs. */
  order(order: object): void {
    rmSync(this.#hits, { force: true });
    writeFileSync(this.#order, JSON.stringify({ ...order, at: performance.now() }));
  }

  unorder(): void {
    rmSync(this.#order, { force: true });
  }

  get isOrdered(): boolean {
    return existsSync(this.#order);
  }

  /** What was done since the last order. */
  orderHits(): string[] {
    if (!existsSync(this.#hits)) return [];
    return readFileSync(this.#hits, "utf8").trim().split("\n");
  }

  get #order(): string {
    return orderFile(this.state.home);
  }

  get #hits(): string {
    return `${this.#order}.hit`;
  }

  /** Where this process sees a file of the world. */
  seen(path: string): string {
    return this.isSmall ? `/proc/${this.#creator.pid}/root${path}` : path;
  }

  folderOf(name: string): string {
    return machinePaths(this.state, name).folder;
  }

  hasFolder(name: string): boolean {
    return existsSync(this.seen(this.folderOf(name)));
  }

  processes(): WorldProcess[] {
    return listProcesses(this.temporary);
  }

  processesOf(name: string): WorldProcess[] {
    return this.processes().filter(({ folder }) => folder === this.folderOf(name));
  }

  supervisorOf(name: string): WorldProcess | undefined {
    return this.processes().find(
      ({ role, command }) => role === "supervisor" && command.endsWith(` ${name}`),
    );
  }

  /** In place of those that have ended. */
  revive(): void {
    if (this.#creator.isDead) this.#creator = new Actor(this.#env, this.#wrap);
    if (this.isSmall) this.#observer = this.#creator;
    else if (this.#observer.isDead) this.#observer = new Actor(this.#env);
  }

  /** Everything that is there and would not be, had there never been a machine. */
  leftovers(): string[] {
    const files = [this.state.machines, this.state.snapshots, this.temporary]
      .flatMap((folder) => list(this.seen(folder)).map((name) => join(folder, name)))
      .concat(list(this.seen(this.state.templates)).filter((name) => !/^[0-9a-f]{64}$/.test(name)));
    const processes = this.processes();
    const others = processes.filter(({ role }) => role !== "actor");
    return [
      ...files.map((path) => `file ${path}`),
      ...others.map(({ pid, command }) => `process ${pid}: ${command.slice(0, 150)}`),
      ...listPorts(processes.map(({ pid }) => pid)).map((port) => `port ${port}`),
      ...listSocketPaths(this.state.home).map((path) => `socket ${path}`),
    ];
  }

  /** After a round that went wrong: the next one is to find nothing of it. */
  async reset(): Promise<void> {
    this.unorder();
    for (const { pid } of this.processes()) kill(pid);
    await Promise.all([this.#creator.kill(), this.#observer.kill()]);
    for (const folder of [this.state.machines, this.state.snapshots])
      rmSync(folder, { recursive: true, force: true });
    for (const name of list(this.state.images).filter((each) => isAdded(each)))
      rmSync(join(this.state.images, name), { recursive: true, force: true });
    for (const name of list(this.temporary))
      rmSync(join(this.temporary, name), { recursive: true, force: true });
    this.revive();
  }

  async close(): Promise<void> {
    await Promise.all([this.#creator.kill(), this.#observer.kill()]);
    for (const { pid } of this.processes()) kill(pid);
    for (const folder of [this.state.home, `${this.state.home}.disk`])
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

/** An image's folder that a fault has put there: no digest looks like this. */
export const ADDED_DIGEST = "f".repeat(16);
const isAdded = (folder: string) => folder.endsWith(ADDED_DIGEST);

const orderFile = (home: string) => join(home, "fault-order");

/** The node of the world's programs, which loads what can do them a fault. */
function makeShim(home: string): NodeJS.ProcessEnv {
  const node = join(home, "node");
  writeFileSync(node, `#!/bin/sh\nexec ${process.execPath} --import ${SHIM} "$@"\n`, { mode: 0o700 });
  return { SMOLVM_FAULT_NODE: node, SMOLVM_FAULT_ORDER: orderFile(home) };
}

/** With the images of the ordinary one. */
async function makeHome(): Promise<string> {
  for (const image of ["tiny", "debian"]) await buildImage(image);
  const { images } = statePaths();
  const home = mkdtempSync(join(tmpdir(), "smolvm-faults-"));
  mkdirSync(join(home, "images"), { mode: 0o700 });
  for (const name of list(images).filter((each) => !each.startsWith(".")))
    symlinkSync(join(images, name), join(home, "images", name));
  return home;
}
