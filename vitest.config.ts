import { defineConfig } from 'vitest/config';

/** End-to-end tests start a real Islet. */
const e2e = {
  globalSetup: ['e2e/setup/islet.ts'],
  testTimeout: 120_000,
  hookTimeout: 180_000,
  fileParallelism: false,
};

// `unit` needs nothing but Node (some suites need root and say so). `resumed` and `forked` run the tests of the SDK on sandboxes
// that were paused and resumed, or forked, between the tests; see docs/testing.md.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'bench/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      { test: { ...e2e, name: 'e2e', include: ['e2e/**/*.test.ts'] } },
      ...['resumed', 'forked'].map((mode) => ({
        test: { ...e2e, name: mode, include: ['e2e/sdk/**/*.test.ts'], env: { ISLET_E2E_MODE: mode } },
      })),
    ],
  },
});
