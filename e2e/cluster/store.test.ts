import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { TwoNodes } from './two-nodes.ts';

const LIFE_MS = 600_000;

describe('two nodes that share a store', () => {
  let dir: string;
  let nodes: TwoNodes;
  let connection: Awaited<ReturnType<TwoNodes['connection']>>;
  beforeAll(async () => {
    dir = await newDataDir();
    nodes = await TwoNodes.prepare({ dir, store: join(dir, 'store') });
    await Promise.all([nodes.run('one'), nodes.run('api'), nodes.run('edge')]);
    connection = await nodes.connection();
  });
  afterAll(async () => {
    await nodes?.[Symbol.asyncDispose]();
    await removeDataDir(dir);
  });

  const create = () => Sandbox.create('base', { ...connection, timeoutMs: LIFE_MS });

  it('start on one what the other has built, with a cache of its own that is empty', async () => {
    const sandbox = await until('a sandbox is created', 60_000, create, () => true);
    await sandbox.kill();
    // It builds nothing: what the first node made is in the store when its template serves there.
    const built = 'the store has the template base';
    await until(
      built,
      120_000,
      () => access(join(dir, 'store/records/builds')),
      () => true,
    );
    await nodes.run('two');
    await expect(access(join(dir, 'cache-of-two', 'layers'))).rejects.toThrow();
    await nodes.end('one', 'SIGKILL');
    const elsewhere = await until('the other node starts one', 60_000, create, () => true);
    expect((await elsewhere.commands.run('echo from two')).stdout).toBe('from two\n');
    await elsewhere.kill();
    await nodes.run('one');
  });
});
