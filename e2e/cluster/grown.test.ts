import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { JoinedMachines } from './joined-machines.ts';

const LIFE_MS = 600_000;

describe('an Islet of one machine that other machines join', () => {
  let dir: string;
  let machines: JoinedMachines;
  /** By the edge of the first machine, and by one that has joined. */
  let near: { apiUrl: string; sandboxUrl: string; apiKey: string };
  let far: typeof near;
  beforeAll(async () => {
    dir = await newDataDir();
    machines = new JoinedMachines(dir, { ISLET_WARM_MEMORY: '100' });
    const { addresses } = machines;
    await machines.serve('api', ['up', '--advertise', addresses.api]);
    const [edge, node] = [await machines.token('edge'), await machines.token('node')];
    await Promise.all([
      machines.serve('edge', ['join', '--start', '--name', 'far'], `${edge}\n`),
      machines.serve(
        'node',
        ['join', '--start', '--name', 'second', '--advertise', addresses.node],
        `${node}\n`,
      ),
    ]);
    const apiKey = await machines.secret('api', 'api-key');
    near = { apiUrl: machines.apiUrl, sandboxUrl: `http://${addresses.api}:3002`, apiKey };
    far = { ...near, sandboxUrl: machines.sandboxUrl };
  });
  afterAll(async () => {
    await machines?.[Symbol.asyncDispose]();
    await removeDataDir(dir);
  });

  const operate = async (...words: string[]) => {
    const { code, stdout, stderr } = await machines.command('api', ['node', ...words, '--json']);
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as { id: string; status: string; sandboxCount: number }[];
  };

  it('starts sandboxes on both, and reaches them through either edge', async () => {
    const nodes = await until(
      'both are ready',
      60_000,
      () => operate('list'),
      (list) => list.length === 2 && list.every(({ status }) => status === 'ready'),
    );
    const own = nodes.find(({ id }) => id !== 'second')?.id ?? '';
    const made: Sandbox[] = [];
    for (const drained of ['second', own]) {
      await operate('drain', drained, '--keep-sandboxes');
      made.push(await Sandbox.create('base', { ...near, timeoutMs: LIFE_MS }));
      await operate('undrain', drained);
    }
    expect((await operate('list')).map(({ sandboxCount }) => sandboxCount)).toEqual([1, 1]);
    for (const { sandboxId } of made) {
      for (const way of [near, far]) {
        const sandbox = await Sandbox.connect(sandboxId, way);
        const said = await until(
          'the way is known',
          60_000,
          () => sandbox.commands.run('echo ok'),
          () => true,
        );
        expect(said.stdout).toBe('ok\n');
      }
      expect(await Sandbox.kill(sandboxId, near)).toBe(true);
    }
  });

  it('has no second node of its own name', async () => {
    const [own] = (await operate('list')).filter(({ id }) => id !== 'second');
    const words = ['join', '--name', own?.id ?? '', await machines.token('node')];
    const { code, stderr } = await machines.command('second', words);
    expect(code).toBe(1);
    expect(stderr).toMatch(/has node .* already: join under another name/);
    const api = await machines.command('api', ['token', 'create', '--role', 'api']);
    expect(api.stderr).toMatch(/is embedded and of one process: move to PostgreSQL first/);
  });
});
