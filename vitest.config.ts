import { defineConfig } from 'vitest/config';

/** Without KVM everything in a virtual machine takes some sixteen times as long. */
const UNHURRIED = { testTimeout: 300_000, hookTimeout: 600_000 };

/** What is polled for comes sooner or never; the second that vitest waits by itself is too short on a busy machine. */
const patient = { expect: { poll: { timeout: 60_000 } } };

/** End-to-end tests start a real Islet, which takes its isolation from ISLET_ISOLATION as every Islet does. */
const e2e = {
  ...patient,
  globalSetup: ['e2e/setup/islet.ts'],
  fileParallelism: false,
  ...(process.env.ISLET_ISOLATION === 'microvm' ? UNHURRIED : { testTimeout: 120_000, hookTimeout: 180_000 }),
};

/** What virtual machines could get wrong where gVisor does not: starts from a snapshot, saves, clocks, randomness, disks. */
const MICROVM = ['e2e/microvm/**/*.test.ts'];

/** What wants the templates of desktops and of the code interpreter, which take minutes to build. */
const DESKTOP = ['e2e/desktop/**/*.test.ts', 'e2e/examples/**/*.test.ts'];

/** What asks Islet by its addresses alone, whatever processes are behind them. */
const ROLES = ['sdk', 'templates', 'official-cli', 'limits'].map((folder) => `e2e/${folder}/**/*.test.ts`);

/** What an ordinary user does not have: docs/rootless.md. */
const NEEDS_ROOT = ['e2e/sdk/volumes.test.ts', 'e2e/limits/processes.test.ts', '**/node_modules/**'];

/** What starts an Islet of one machine by itself, or looks into it. */
const ONE_MACHINE: string[] = [];

/** What asks Islet by its addresses alone, but for what a machine's own files or processes say. */
const CLUSTER = [...ROLES, 'e2e/control-plane/**/*.test.ts'];

// `unit` needs nothing but Node (some suites need root and say so). `resumed` and `forked` run the tests of the SDK on sandboxes
// that were paused and resumed, or forked, between the tests; see docs/testing.md. `microvm` wants an Islet whose sandboxes are
// virtual machines: `npm run test:microvm`. `roles` runs what needs no more than an address of Islet against API, edge and node in
// processes of their own; `cluster` runs the same against two APIs, two edges and three nodes;
// `rootless` against an Islet of an ordinary user.
export default defineConfig({
  test: {
    tags: [
      {
        name: 'long',
        description: 'What a shorter test shows in part: `npm run test:long`, not in `npm test`.',
      },
    ],
    projects: [
      {
        test: {
          ...patient,
          name: 'unit',
          include: [
            'packages/*/src/**/*.test.ts',
            'packages/*/test/**/*.test.ts',
            'bench/**/*.test.ts',
            'fuzz/**/*.test.ts',
            'packaging/**/*.test.ts',
            'deploy/**/*.test.ts',
            'examples/**/*.test.ts',
            'machines/**/*.test.ts',
          ],
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          ...e2e,
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          exclude: ['e2e/microvm/**', 'e2e/rootless/**', ...DESKTOP, '**/node_modules/**'],
        },
      },
      { test: { ...e2e, ...UNHURRIED, name: 'microvm', include: MICROVM } },
      {
        test: {
          ...e2e,
          ...UNHURRIED,
          name: 'desktop',
          globalSetup: ['e2e/desktop/setup.ts'],
          include: DESKTOP,
        },
      },
      { test: { ...e2e, globalSetup: ['e2e/roles/setup.ts'], name: 'roles', include: ROLES } },
      {
        test: {
          ...e2e,
          ...UNHURRIED,
          globalSetup: ['e2e/rootless/setup.ts'],
          name: 'rootless',
          include: [...ROLES, 'e2e/rootless/**/*.test.ts'],
          exclude: NEEDS_ROOT,
        },
      },
      {
        test: {
          ...e2e,
          ...UNHURRIED,
          name: 'cluster',
          globalSetup: ['e2e/cluster/suite/setup.ts'],
          include: CLUSTER,
          exclude: ONE_MACHINE,
        },
      },
      ...['resumed', 'forked'].map((mode) => ({
        test: { ...e2e, name: mode, include: ['e2e/sdk/**/*.test.ts'], env: { ISLET_E2E_MODE: mode } },
      })),
    ],
  },
});
