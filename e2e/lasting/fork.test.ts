import { Sandbox } from 'e2b';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { send } from '../setup/http.ts';
import { until } from '../setup/until.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };

const made: string[] = [];
afterEach(async () => {
  await Promise.all(made.splice(0).map((id) => Sandbox.kill(id, connection)));
});
const create = async (options: Parameters<typeof Sandbox.create>[1] = {}) => {
  const sandbox = await Sandbox.create('base', { ...connection, ...options });
  made.push(sandbox.sandboxId);
  return sandbox;
};
const fork = async (sandbox: Sandbox, options: { count?: number; timeoutMs?: number } = {}) => {
  const forks = await sandbox.fork({ timeoutMs: 300_000, ...options });
  return forks.map((each) => {
    if (each instanceof Error) throw each;
    made.push(each.sandboxId);
    return each;
  });
};

/** Answers on its standard input with how often it was asked. */
const ASKED = `python3 -u -c "
import sys
n = 0
for line in sys.stdin:
    n += 1
    print(n, flush=True)
"`;

describe('a fork', () => {
  it('goes on from the same instant as its original, which goes on too', async () => {
    const original = await create({ envs: { KEPT: 'yes' }, metadata: { run: '7' } });
    const server = 'python3 -m http.server 8000 > /dev/null 2>&1';
    await original.commands.run(server, { background: true, timeoutMs: 0 });
    const asked = await original.commands.run(ASKED, { background: true, stdin: true, timeoutMs: 0 });
    await original.files.write('/home/user/note.txt', 'kept');
    const endAt = (await original.getInfo()).endAt;

    const forks = await fork(original, { count: 3 });
    expect(new Set([original, ...forks].map(({ sandboxId }) => sandboxId)).size).toBe(4);
    expect((await original.getInfo()).endAt).toEqual(endAt);
    for (const each of [original, ...forks]) {
      expect(await each.files.read('/home/user/note.txt')).toBe('kept');
      expect((await each.commands.run('echo $KEPT')).stdout).toBe('yes\n');
      const page = () => fetch(`http://${each.getHost(8000)}/`).then(({ status }) => status);
      await until('its server serves', 10_000, page, (status) => status === 200);
      let said = '';
      const handle = await each.commands.connect(asked.pid, {
        onStdout: (text) => {
          said += text;
        },
        timeoutMs: 0,
      });
      await each.commands.sendStdin(asked.pid, 'again\n');
      await until(
        'its process answers',
        10_000,
        () => said,
        (text) => text === '1\n',
      );
      await handle.disconnect();
      expect((await each.getInfo()).metadata).toEqual({ run: '7' });
    }
    for (const each of forks) {
      expect((await each.commands.run('hostname')).stdout.trim()).toBe(each.sandboxId);
      await each.files.write('/home/user/note.txt', each.sandboxId);
    }
    expect(await original.files.read('/home/user/note.txt')).toBe('kept');
  });

  it('can be forked again, paused and resumed', async () => {
    const [first] = await fork(await create());
    await first?.files.write('/home/user/note.txt', 'kept');
    const [second] = first ? await fork(first) : [];
    await second?.pause();
    const resumed = await Sandbox.connect(second?.sandboxId ?? '', connection);
    expect(await resumed.files.read('/home/user/note.txt')).toBe('kept');
    expect((await resumed.commands.run('echo works')).stdout).toBe('works\n');
  });

  it('has tokens of its own if the original is secured', async () => {
    const original = await create({ secure: true });
    const [each] = await fork(original);
    const tokenOf = async (sandboxId = '') => {
      const url = `${apiUrl}/sandboxes/${sandboxId}`;
      const headers = { 'X-API-Key': apiKey };
      return (await send<{ envdAccessToken: string }>({ method: 'GET', url, headers })).body.envdAccessToken;
    };
    const token = await tokenOf(each?.sandboxId);
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(token).not.toBe(await tokenOf(original.sandboxId));
    expect((await each?.commands.run('echo works'))?.stdout).toBe('works\n');
  });

  it('is refused for a paused or missing sandbox and for a count out of range', async () => {
    const sandbox = await create();
    await expect(sandbox.fork({ count: 101 })).rejects.toThrow(/400/);
    await expect(sandbox.fork({ count: 0 })).rejects.toThrow(/400/);
    await sandbox.pause();
    await expect(sandbox.fork()).rejects.toThrow(/409.*is paused and cannot be forked; resume it first/);
    await sandbox.kill();
    await expect(sandbox.fork()).rejects.toThrow(/doesn't exist/);
  });
});
