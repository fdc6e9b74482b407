import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { captureOutput, endGroup, startGroup, timeProgram } from "../../bench/processes.ts";
import { findFreePort } from "../../bench/rivals/free-port.ts";
import { splitShellWords } from "../../bench/rivals/openssh.ts";
import { quoteWord } from "../../src/util/quote.ts";
import { chooseSeed, seededRandom } from "../support/random.ts";

describe("the bench's programs", () => {
  it("that fail are told apart by their last words", async () => {
    const failing = captureOutput(["/bin/sh", "-c", "echo first >&2; echo last >&2; exit 3"]);
    await expect(failing).rejects.toThrow("/bin/sh ended with status 3: first / last");
    await expect(captureOutput(["/nowhere/at/all"])).rejects.toThrow("ENOENT");
    await expect(timeProgram(["/bin/sh", "-c", "exit 4"])).rejects.toThrow("status 4");
    await expect(timeProgram(["/nowhere/at/all"])).rejects.toThrow("ENOENT");
  });

  it("that hang are ended with all they have started", async () => {
    const hanging = captureOutput(["/bin/sh", "-c", "sleep 60 & sleep 60; true"], { timeoutMs: 200 });
    await expect(hanging).rejects.toThrow("SIGKILL");
  });

  it("that run on take their children with them", async () => {
    const shell = startGroup(["/bin/sh", "-c", "sleep 60 & echo up; wait"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const stdout = shell.stdout ?? shell;
    await once(stdout, "data");
    // The child holds the shell's stdout, so that ends only when both are dead.
    const bothGone = once(stdout, "close");
    await endGroup(shell);
    await bothGone;
    expect(shell.signalCode).toBe("SIGKILL");
    await endGroup(shell);
  });

  it("take as long as they take", async () => {
    expect(await timeProgram(["/bin/sh", "-c", "sleep 0.3"])).toBeGreaterThanOrEqual(290);
  });
});

describe("the words of a shell command", () => {
  it("are what a shell makes of them", async () => {
    expect(await splitShellWords(`ssh -o 'A B' "c d" e\\ f ''`)).toEqual([
      "ssh",
      "-o",
      "A B",
      "c d",
      "e f",
      "",
    ]);
  });

  it("come back as they were quoted", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const characters = [..."ab '\"\\$`*?~#;&|<>(){}[]!\n\té"];
    const words = Array.from({ length: 200 }, () =>
      Array.from({ length: random(8) }, () => characters[random(characters.length)]).join(""),
    );
    expect(await splitShellWords(words.map(quoteWord).join(" ")), `seed ${seed}`).toEqual(words);
  });
});

describe("a free port", () => {
  it("is one that can be listened on", async () => {
    expect(await findFreePort()).toBeGreaterThan(0);
  });
});
