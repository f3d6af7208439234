import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sandbox } from 'e2b';
import { expect } from 'vitest';
import { until } from '../setup/until.ts';

export type Target = [kind: 'http' | 'greeting' | 'udp' | 'dns', host: string, port: number];

export interface ProbeResult {
  ok: boolean;
  text?: string;
  error?: string;
}

const PATH = '/tmp/probe.py';
const SCRIPT = readFile(join(import.meta.dirname, 'probe.py'), 'utf8');

/** Puts the probing script into a sandbox. */
export async function installProbe(sandbox: Sandbox): Promise<void> {
  await sandbox.files.write(PATH, await SCRIPT);
}

/** What the sandbox gets of each target, in order. */
export async function probe(
  sandbox: Sandbox,
  targets: readonly Target[],
  user = 'user',
): Promise<ProbeResult[]> {
  const { stdout } = await sandbox.commands.run(`python3 ${PATH} '${JSON.stringify(targets)}'`, {
    user,
    // The C library's own patience with a resolver that does not answer is 20 s.
    envs: { RES_OPTIONS: 'timeout:2 attempts:1' },
    timeoutMs: 60_000,
  });
  return JSON.parse(stdout) as ProbeResult[];
}

/**
 * Expects that the sandbox reaches those targets for which `may` is true, and no others. On a busy machine an answer may
 * come later than the script waits: such a target is asked again. What may not be reached must not be, the first time.
 */
export async function expectReaches(
  sandbox: Sandbox,
  targets: readonly Target[],
  may: readonly boolean[],
  user?: string,
): Promise<void> {
  const seen = await until(
    'everything that may be reached is',
    60_000,
    () => reaches(sandbox, targets, user),
    (reached) =>
      reached.every((is, index) => is || !may[index]) || reached.some((is, index) => is && !may[index]),
  );
  expect(Object.fromEntries(targets.map((target, index) => [target.join(' '), seen[index]]))).toEqual(
    Object.fromEntries(targets.map((target, index) => [target.join(' '), may[index]])),
  );
}

/** What the sandbox gets of targets all of which answer. */
export function probeUntilAnswered(sandbox: Sandbox, targets: readonly Target[]): Promise<ProbeResult[]> {
  return until(
    'all targets answer',
    60_000,
    () => probe(sandbox, targets),
    (results) => results.every(({ ok }) => ok),
  );
}

/** For each target whether the sandbox reaches it. */
async function reaches(sandbox: Sandbox, targets: readonly Target[], user?: string): Promise<boolean[]> {
  return (await probe(sandbox, targets, user)).map(({ ok }) => ok);
}
