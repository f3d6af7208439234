import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHostExec, type ProcessRef } from '@islet/host';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openGvisor } from '../src/gvisor.ts';

/** One that has ended: nobody waits for it. */
const GONE: ProcessRef = { pid: 2 ** 22 + 1, startTime: 1 } as unknown as ProcessRef;

let dir: string;
const host = openHostExec();
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-runsc-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

/** A driver on a runsc of that release, whose commands succeed and do nothing. */
async function open(version: string) {
  const runsc = join(dir, 'runsc');
  await writeFile(runsc, `#!/bin/sh\n[ "$1" = --version ] && echo "runsc version ${version}"\nexit 0\n`);
  await chmod(runsc, 0o755);
  vi.stubEnv('PATH', `${dir}:${process.env.PATH}`);
  const logger = createLogger({ service: 'node', level: 'silent' });
  const warn = vi.spyOn(logger, 'warn');
  const repair = vi.fn(async () => 0);
  const checkpoints = { repair, close: async () => undefined };
  const runtimeDir = join(dir, 'run');
  await mkdir(runtimeDir);
  const driver = await openGvisor({ instance: 'test', runtimeDir, exec: host.exec, checkpoints, logger });
  return { driver, repair, warn };
}

describe.skipIf(process.getuid?.() !== 0)('a runsc', () => {
  it.each([
    ['0.0~20240729.0', 1],
    ['release-20260525.0', 0],
    ['something-else', 0],
  ])('of release %s has its checkpoints looked through %d times', async (version, times) => {
    const { repair, driver, warn } = await open(version);
    try {
      await driver.checkpoint({ id: 'a', dir, main: GONE, companions: [] }, dir);
      expect(repair).toHaveBeenCalledTimes(times);
      const warnings = warn.mock.calls.flat().filter((said) => String(said).includes(`not with ${version}`));
      expect(warnings).toHaveLength(1 - times);
    } finally {
      await driver.close();
    }
  });
});
