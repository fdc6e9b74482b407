import { tame } from "../util/tame.ts";
import type { Api } from "./api.ts";
import type { ProgressLine } from "./command.ts";
import type { Output } from "./io.ts";
import { formatBytes } from "./text.ts";

const ERASE = "\r\u001b[K";

/** One line at the bottom of a terminal, rewritten in place; silent where stderr is no terminal. */
export function openProgressLine(stderr: Output): ProgressLine {
  if (!stderr.isTTY) return { show() {}, clear() {} };
  let isShown = false;
  return {
    show(text) {
      const line = tame(text)
        .replaceAll(/\s/g, " ")
        .slice(0, (stderr.columns ?? 80) - 1);
      stderr.write(`${ERASE}${line}`);
      isShown = true;
    },
    clear() {
      if (isShown) stderr.write(ERASE);
      isShown = false;
    },
  };
}

type OnProgress = NonNullable<NonNullable<Parameters<Api["buildImage"]>[1]>["onProgress"]>;

/** What making an image or a machine does now, as one line: "Downloading packages: 12 MiB of 37 MiB". */
export function describeProgress({ phase, message, done, total }: Parameters<OnProgress>[0]): string {
  if (done === undefined) return message;
  const format = phase === "download" ? formatBytes : String;
  return `${message}: ${format(done)}${total === undefined ? "" : ` of ${format(total)}`}`;
}
