import { refuse } from "./options.ts";

/** What one argument or variable may hold in Linux, its ending NUL included (MAX_ARG_STRLEN). */
export const MOST_WORD_BYTES = 131_072;

/**
 * What all arguments and variables of a program may come to. Linux takes a quarter of the stack's limit, 2 MiB where that is 8 MiB; one
 * word of the largest size is left for what else a program is given.
 */
export const MOST_EXEC_BYTES = 2 * 1024 * 1024 - MOST_WORD_BYTES;

const POINTER_BYTES = 8;

/** What these words and variables take: each has an ending NUL, and a pointer. */
export function execBytes(words: readonly string[], variables: Readonly<Record<string, string>>): number {
  const pairs = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  return [...words, ...pairs].reduce((sum, word) => sum + Buffer.byteLength(word) + 1 + POINTER_BYTES, 0);
}

/** ValidationError for a script that no shell could be given. */
export function checkScript(script: string, variables: Readonly<Record<string, string>>): void {
  const bytes = execBytes([script], variables);
  if (bytes > MOST_EXEC_BYTES)
    throw refuse(
      "command",
      script,
      `a script of at most ${MOST_EXEC_BYTES} bytes with \`env\`, where these come to ${bytes}: Linux passes no more to a shell. What is longer can be a file of the guest, or stdin`,
    );
}

/** ValidationError for a program and its arguments that Linux would not start. */
export function checkArguments(argv: readonly string[], variables: Readonly<Record<string, string>>): void {
  for (const [index, word] of argv.entries()) {
    if (Buffer.byteLength(word) >= MOST_WORD_BYTES)
      throw refuse(
        `command[${index}]`,
        word,
        `shorter than ${MOST_WORD_BYTES} bytes, all that Linux takes as one argument`,
      );
  }
  const bytes = execBytes(argv, variables);
  if (bytes > MOST_EXEC_BYTES)
    throw refuse(
      "command",
      argv,
      `at most ${MOST_EXEC_BYTES} bytes with \`env\`, where these come to ${bytes}: Linux starts no program with more`,
    );
}
