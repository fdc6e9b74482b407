import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Packages are unpacked, and machines boot, on an emulated processor. */
const GUESTS = { testTimeout: 120_000, hookTimeout: 600_000 };
/** What takes minutes, and would else begin last, when nobody is left to run beside it. */
const FIRST = ["examples", "lock-outs", "clones-failures", "commands-secrets", "commands-horrors"];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = FIRST.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return place < 0 ? FIRST.length : place;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    globalSetup: ["test/setup/leaks.ts"],
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 30_000, maxWorkers: 3 } },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          testTimeout: 30_000,
          // They wait for most of their time.
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: "vm",
          include: ["test/vm/*.test.ts"],
          ...GUESTS,
          // Each keeps one core busy: more of them at a time would only make each slower. And after everything else.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "vm-alone",
          include: ["test/vm/alone/*.test.ts"],
          ...GUESTS,
          // These start crowds, or look at how long something takes.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
