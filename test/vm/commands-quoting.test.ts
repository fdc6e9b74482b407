import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { chooseSeed, type Random, seededRandom } from "../support/random.ts";

const BATCH = 250;
const BATCHES = 40;

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

/** Of what shells, their readers and our own code could take for something else. */
const PIECES = [
  ..."'\"`$\\!#&|;<>()[]{}*?~=%^ \t\n\r@:,.-+/_aA0",
  ...[
    "\n\n",
    "'\\''",
    '"$__n"',
    "$__n",
    "$" + "{__n}",
    "$(echo x)",
    "`id`",
    "\\n",
    "\\\n",
    "$'",
    "EOF\n",
    "__smolvm_l",
    "__r",
  ],
  ...[
    "\u0001",
    "\u0001smolvm-",
    "\u0007",
    "\u001b[0m",
    "\u007f",
    "é",
    "ß",
    "\u00a0",
    "\u2028",
    "漢字",
    "😀",
    "\ufeff",
  ],
  ...["-", "--", "-n", "-e", "#", "exit", ";exit 9;", "\nexit 9\n", "word"],
];

function randomString(random: Random): string {
  const length = random(4) === 0 ? random(60) : random(8);
  return Array.from({ length }, () => PIECES[random(PIECES.length)]).join("");
}

function randomStrings(random: Random, count: number): string[] {
  return Array.from({ length: count }, () => randomString(random));
}

const bytesOf = (strings: readonly string[]) => Buffer.from(strings.map((text) => `${text}\0`).join(""));

const optionsOf = (random: Random) => ({
  shell: random(2) === 0 ? ("login" as const) : ("raw" as const),
  ...(random(4) === 0 && { user: "daemon" }),
  timeout: 60,
});

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
const printVariables = (count: number) =>
  `i=0; while [ $i -lt ${count} ]; do eval "v=\\$V$i"; printf '%s\\0' "$v"; i=$((i+1)); done`;
const variablesOf = (strings: readonly string[]) =>
  Object.fromEntries(strings.map((text, n) => [`V${n}`, text]));

describe("strings of every kind arrive byte for byte", () => {
  const cases = [
    ["as arguments", (strings: string[], o: object) => vm.run(["printf", "%s\\0", ...strings], o)],
    [
      "as values of the environment",
      (strings: string[], o: object) =>
        vm.run(printVariables(strings.length), { ...o, env: variablesOf(strings) }),
    ],
    [
      "as text of a script",
      (strings: string[], o: object) =>
        vm.run(strings.map((text) => `printf '%s\\0' ${quoted(text)}`).join("\n"), o),
    ],
  ] as const;

  it.each(cases)("%s, 10,000 of them and some alone", async (_, run) => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const sizes = [
      ...Array.from({ length: BATCHES }, () => BATCH),
      ...Array.from({ length: 60 }, () => 1 + random(4)),
    ];
    for (const size of sizes) {
      const strings = randomStrings(random, size);
      const options = optionsOf(random);
      const { stdoutBytes, stderr, exitCode } = await run(strings, options);
      const what = `seed ${seed}, ${JSON.stringify(options)}: ${JSON.stringify(strings)}`;
      expect([exitCode, stderr], what).toEqual([0, ""]);
      expect(Buffer.compare(stdoutBytes, bytesOf(strings)), what).toBe(0);
    }
  });

  it("as variables kept in the guest, and as names of folders", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const values = variablesOf(randomStrings(random, BATCH));
    await vm.setEnvVars(values);
    expect(await vm.listEnvVars(), `seed ${seed}`).toEqual(values);
    const seen = await vm.run(printVariables(BATCH), { timeout: 60 });
    expect(Buffer.compare(seen.stdoutBytes, bytesOf(Object.values(values))), `seed ${seed}`).toBe(0);
    await vm.setEnvVars({}, { merge: false });
    for (let n = 0; n < 20; n++) {
      const name = `d${[...randomString(random).replaceAll("/", "|")].slice(0, 40).join("")}`;
      await vm.run(["mkdir", "-p", `/tmp/q/${name}`], { check: true });
      const { stdout } = await vm.run('printf %s "$PWD"', { cwd: `/tmp/q/${name}`, shell: "raw" });
      expect(stdout, `seed ${seed}`).toBe(`/tmp/q/${name}`);
    }
  });
});
