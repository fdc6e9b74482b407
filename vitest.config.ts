import { defineConfig } from "vitest/config";

/** Packages are unpacked, and machines boot, on an emulated processor. */
const GUESTS = { testTimeout: 120_000, hookTimeout: 600_000 };

export default defineConfig({
  test: {
    globalSetup: ["test/setup/leaks.ts"],
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], maxWorkers: 3 } },
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
