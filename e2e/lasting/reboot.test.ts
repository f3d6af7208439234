import { Sandbox } from 'e2b';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { until } from '../setup/until.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };

const made: string[] = [];
afterEach(async () => {
  await Promise.all(made.splice(0).map((id) => Sandbox.kill(id, connection)));
});
const create = async (options: Parameters<typeof Sandbox.create>[1] = {}): Promise<Sandbox> => {
  const sandbox = await Sandbox.create('base', { ...connection, ...options });
  made.push(sandbox.sandboxId);
  return sandbox;
};

const forever = { background: true as const, timeoutMs: 0 };

/** Everything that envd watches for a client: pipes that are silent and one that is not, terminals, directories, ports. */
async function keepBusy({ commands, files, pty }: Sandbox): Promise<void> {
  await Promise.all([
    ...Array.from({ length: 4 }, () => commands.run('sleep 1000', forever)),
    ...Array.from({ length: 3 }, () => pty.create({ cols: 80, rows: 24, onData() {}, timeoutMs: 0 })),
    commands.run('while true; do echo x; sleep 0.02; done', { ...forever, onStdout() {} }),
    commands.run('python3 -m http.server 8000 --bind 127.0.0.1 > /dev/null 2>&1', forever),
    files.watchDir('/home/user', () => undefined, { timeoutMs: 0 }),
  ]);
}

/** As many connections of their own at once as descriptors have been given back. */
async function healthOnManyConnections(sandbox: Sandbox): Promise<number[]> {
  const url = `http://${sandbox.getHost(49_983)}/health`;
  return Promise.all(
    Array.from({ length: 40 }, async () => (await fetch(url, { headers: { Connection: 'close' } })).status),
  );
}

async function expectRebooted(sandbox: Sandbox, note: string): Promise<void> {
  expect(await sandbox.commands.list()).toEqual([]);
  const seen = await sandbox.commands.run(
    'cat note.txt; echo $KEPT; hostname; pgrep -c "sleep|python3" || true',
    {
      cwd: '/home/user',
    },
  );
  expect(seen.stdout.split('\n')).toEqual([note, 'yes', sandbox.sandboxId, '0', '']);
  expect(new Set(await healthOnManyConnections(sandbox))).toEqual(new Set([204]));
}

describe('a sandbox that starts from its files alone', () => {
  it.each(['at the pause', 'at the connect'])('where that was asked for %s', async (when) => {
    const sandbox = await create({ envs: { KEPT: 'yes' } });
    for (const round of [1, 2, 3]) {
      await keepBusy(sandbox);
      await sandbox.files.write('/home/user/note.txt', `round ${round}\n`);
      if (when === 'at the pause') {
        await sandbox.pause({ keepMemory: false });
        await Sandbox.connect(sandbox.sandboxId, connection);
      } else {
        await sandbox.pause();
        await Sandbox.connect(sandbox.sandboxId, { ...connection, onResume: 'reboot' });
      }
      await expectRebooted(sandbox, `round ${round}`);
    }
  });

  it('does so after a pause at the end of its time, and traffic does not wake it', async () => {
    const lifecycle = { onTimeout: { action: 'pause' as const, keepMemory: false } };
    const sandbox = await create({ envs: { KEPT: 'yes' }, lifecycle });
    await keepBusy(sandbox);
    await sandbox.files.write('/home/user/note.txt', 'in time\n');
    await sandbox.setTimeout(500);
    await until(
      'it is paused',
      15_000,
      () => Sandbox.getInfo(sandbox.sandboxId, connection),
      ({ state }) => state === 'paused',
    );
    expect((await fetch(`http://${sandbox.getHost(8000)}/`)).status).toBe(502);
    expect((await Sandbox.getInfo(sandbox.sandboxId, connection)).state).toBe('paused');
    await Sandbox.connect(sandbox.sandboxId, connection);
    await expectRebooted(sandbox, 'in time');
  });
});
