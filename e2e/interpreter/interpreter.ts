import { Sandbox, type SandboxOpts } from '@e2b/code-interpreter';
import { afterAll, beforeAll, inject } from 'vitest';
import { islet } from '../setup/instance.ts';

const { apiUrl, sandboxUrl, apiKey, dataDir } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };

/** A machine that has built it before takes seconds; one that has not installs a thousand packages. */
export const BUILD_MS = 1_500_000;
/** Longest answer on a machine that is busy with others. */
const REQUEST_MS = 120_000;

/** Has the Islet of all tests build its template, if it has not yet. The files of this folder share the one build. */
export async function buildTemplate(): Promise<Record<string, unknown>> {
  const said = await islet('template', 'build', 'code-interpreter', '--json', '--data-dir', dataDir);
  return JSON.parse(said.trim().split('\n').at(-1) as string) as Record<string, unknown>;
}

/** Sandboxes of the template, killed behind the last test of the file. */
export function interpreters(): (options?: SandboxOpts) => Promise<Sandbox> {
  const made: Sandbox[] = [];
  beforeAll(async () => {
    await buildTemplate();
  }, BUILD_MS);
  afterAll(async () => {
    await Promise.all(made.map((sandbox) => sandbox.kill()));
  });
  return async (options = {}) => {
    const more = { timeoutMs: 1_200_000, requestTimeoutMs: REQUEST_MS, ...options };
    const sandbox = await Sandbox.create({ ...connection, ...more });
    made.push(sandbox);
    return sandbox;
  };
}

/** Forks a sandbox; the copies end with the test that asked for them. */
export async function withForks<T>(
  sandbox: Sandbox,
  count: number,
  use: (forks: Sandbox[]) => Promise<T>,
): Promise<T> {
  const outcomes = await sandbox.fork({ count, timeoutMs: 600_000 });
  const forks = outcomes.filter((each): each is Sandbox => !(each instanceof Error));
  try {
    if (forks.length < count) throw outcomes.find((each) => each instanceof Error);
    return await use(forks);
  } finally {
    await Promise.all(forks.map((fork) => fork.kill()));
  }
}
