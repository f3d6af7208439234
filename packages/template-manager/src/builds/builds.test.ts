import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BuildFiles } from './build-files.ts';
import type { BuildOutcome, BuildSpec, BuildState } from './build-spec.ts';
import { Builds, type BuildsOptions } from './builds.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-builds-'));
});
afterEach(() => rm(dir, { recursive: true }));

const SPEC: BuildSpec = {
  ...{
    templateId: 't',
    buildId: 'b',
    teamId: 'team',
    cpuCount: 1,
    memoryMb: 512,
    freeDiskMb: 0,
    diskLimitMb: 1,
  },
  ...{ force: false, legacyUser: false, steps: [], startCommand: undefined, readyCommand: undefined },
  source: { kind: 'build', buildId: 'parent' },
};
const OUTCOME: BuildOutcome = {
  ...{ diskSizeMb: 1, envdVersion: '1', defaultUser: 'user', defaultWorkdir: '', env: {} },
  ...{ startCommand: undefined, readyCommand: undefined },
};

async function open(options: Pick<BuildsOptions, 'run'> & Partial<BuildsOptions>) {
  const forgotten: string[] = [];
  const builds = new Builds({
    files: await BuildFiles.open(dir),
    atOnce: 1,
    limitMs: 60_000,
    forget: async (buildId) => void forgotten.push(buildId),
    tidy: async () => {},
    tidyAfterMs: 0,
    onLog: () => undefined,
    logger: createLogger({ service: 'test', level: 'silent' }),
    now: Date.now,
    ...options,
  });
  return { builds, forgotten };
}

async function endOf(builds: Builds): Promise<BuildState | undefined> {
  let last: BuildState | undefined;
  for await (const state of builds.watch('b', new AbortController().signal)) last = state;
  return last;
}

it('ends a build that nobody cancels and that does not end by itself', async () => {
  const { builds, forgotten } = await open({
    limitMs: 20,
    run: (_, report, signal) => {
      report('info', '3', 'begun');
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  });
  await builds.start(SPEC);
  expect(await endOf(builds)).toEqual({
    kind: 'failed',
    message: 'the build took longer than 0 minutes',
    phase: '3',
  });
  expect(forgotten).toEqual(['b']);
});

it('tidies behind the answers, once at a time, and is closed when that is done', async () => {
  const begun: (() => void)[] = [];
  const { builds, forgotten } = await open({
    run: async () => OUTCOME,
    tidy: () => new Promise((resolve) => begun.push(resolve)),
  });
  await builds.start(SPEC);
  expect(await endOf(builds)).toMatchObject({ kind: 'ready' });
  await expect.poll(() => begun).toHaveLength(1);
  await builds.delete('b');
  expect(forgotten).toEqual(['b']);
  let closed = false;
  const closing = builds.close().then(() => {
    closed = true;
  });
  await new Promise(setImmediate);
  expect(closed).toBe(false);
  expect(begun).toHaveLength(1);
  begun[0]?.();
  await closing;
});

it('frees what a build made that was cancelled when it was done', async () => {
  let done = (_: BuildOutcome) => {};
  const { builds, forgotten } = await open({
    run: () => new Promise((resolve) => (done = resolve)),
  });
  await builds.start(SPEC);
  const cancelled = builds.cancel('b', 'not wanted any more');
  done(OUTCOME);
  await cancelled;
  expect(await endOf(builds)).toMatchObject({ kind: 'failed', message: 'not wanted any more' });
  expect(forgotten).toEqual(['b']);
});
