import { tame } from "../util/tame.ts";
import type { Output } from "./io.ts";

/** Text for a person, wherever its words come from. */
export function say(output: Output, text: string): void {
  output.write(tame(text));
}
