import { afterEach, beforeEach } from "vitest";
import { type StateFolder, useStateFolder } from "./state-folder.ts";

export const STOPPED = { phase: "stopped", reason: "", since: "2026-01-02T03:04:05.678Z" } as const;

/** Each test has a state folder with a stopped machine "sound" in it. */
export function useSoundMachine(): () => StateFolder {
  let folder: StateFolder;
  beforeEach(async () => {
    folder = await useStateFolder();
    await folder.put("sound", { persistent: true, wasBooted: true, status: STOPPED });
  });
  afterEach(() => folder[Symbol.asyncDispose]());
  return () => folder;
}
