import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sandbox } from 'e2b';

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

/** For each target whether the sandbox reaches it. */
export async function reaches(
  sandbox: Sandbox,
  targets: readonly Target[],
  user?: string,
): Promise<boolean[]> {
  return (await probe(sandbox, targets, user)).map(({ ok }) => ok);
}
