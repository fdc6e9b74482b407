import type { Section } from "./bench.ts";
import { bootSection } from "./sections/boot.ts";
import { cliSection } from "./sections/cli.ts";
import { burstSection, clonesSection } from "./sections/clones.ts";
import { commandsSection } from "./sections/commands.ts";
import { forkSection, snapshotSection } from "./sections/copies.ts";
import { densitySection } from "./sections/density.ts";
import { imageSection } from "./sections/image.ts";
import { outputSection } from "./sections/output.ts";
import { parallelSection } from "./sections/parallel.ts";
import { poolSection } from "./sections/pool.ts";

/** In the order they run in. */
export const SECTIONS: readonly Section[] = [
  imageSection,
  bootSection,
  commandsSection,
  outputSection,
  parallelSection,
  cliSection,
  clonesSection,
  burstSection,
  poolSection,
  densitySection,
  snapshotSection,
  forkSection,
];
