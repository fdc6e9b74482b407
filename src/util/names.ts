import { randomBytes, randomInt } from "node:crypto";
import { refuse } from "./options.ts";

/** How a machine is known: to programs by its id, to people by its name. */
export interface Named {
  readonly id: string;
  readonly name: string;
}

/** The form of a machine's or a snapshot's name: at most 64 characters. */
const NAME = /^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$/;

const USER_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/;

const ADJECTIVES =
  "amber brave calm clever crisp eager fair fleet fresh gentle keen lively lucid merry mild neat nimble plain prompt quick quiet rapid ready sharp silent sleek smart solid spry steady sunny swift tidy vivid warm witty".split(
    " ",
  );
const NOUNS =
  "acorn badger beacon birch brook cedar comet crane delta ember falcon fern finch fjord glade harbor heron iris juniper lark linden maple meadow otter pebble pine quartz raven reed robin sparrow spruce stone thicket wren zephyr".split(
    " ",
  );

/** `name` unchanged, or ValidationError. */
export function parseName(name: unknown, option = "name"): string {
  if (typeof name === "string" && NAME.test(name)) return name;
  throw refuse(
    option,
    name,
    "1 to 64 characters of a-z, 0-9, _ and -, beginning and ending with a letter or digit",
  );
}

/** The name unchanged if a guest's SSH server lets such a user in (src/guest/take-names.sh), or ValidationError. */
export function parseUserName(name: unknown, option: string): string {
  if (typeof name === "string" && USER_NAME.test(name)) return name;
  throw refuse(option, name, "a user name of the guest");
}

/** A readable name that nobody chose, such as "swift-otter-3f9a1c". */
export function generateName(): string {
  return `${pick(ADJECTIVES)}-${pick(NOUNS)}-${randomBytes(3).toString("hex")}`;
}

/** An identifier that is never used twice: "vm-" and 16 hexadecimal digits. */
export function generateId(): string {
  return `vm-${randomBytes(8).toString("hex")}`;
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)] ?? "plain";
}
