import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: ["test/setup/leaks.ts"],
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      { test: { name: "integration", include: ["test/integration/**/*.test.ts"], testTimeout: 30_000 } },
      {
        test: {
          name: "vm",
          include: ["test/vm/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 600_000,
          // Guests are emulated: more than one file at a time only makes each of them slower.
          fileParallelism: false,
          // And after everything else.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
