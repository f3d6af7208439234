import { Sandbox, SandboxNotFoundError } from 'e2b';
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
const connect = (sandbox: Sandbox) => Sandbox.connect(sandbox.sandboxId, connection);
const stateOf = async (sandbox: Sandbox) => (await Sandbox.getInfo(sandbox.sandboxId, connection)).state;

/** Counts in memory, and shows the count in a file that is replaced whole: nobody reads it half written. */
const COUNTER = `python3 -c "
import os, time
n = 0
while True:
    n += 1
    with open('/tmp/count.new', 'w') as file: file.write(str(n))
    os.replace('/tmp/count.new', '/tmp/count')
    time.sleep(0.1)
"`;

describe('a paused sandbox', () => {
  it('goes on with its processes, memory, terminals and files', async () => {
    const sandbox = await create({ envs: { KEPT: 'yes' } });
    const counter = await sandbox.commands.run(COUNTER, { background: true, timeoutMs: 0 });
    const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined, timeoutMs: 0 });
    await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode('IN_SHELL=remembered\n'));
    await sandbox.files.write('/home/user/note.txt', 'kept');
    const count = async (from: Sandbox) => Number(await from.files.read('/tmp/count'));
    await until(
      'the counter counts',
      10_000,
      () => count(sandbox).catch(() => 0), // until it has written its first
      (n) => n > 3,
    );
    expect(await sandbox.pause()).toBe(true);
    expect(await stateOf(sandbox)).toBe('paused');
    const resumed = await connect(sandbox);
    expect(resumed.sandboxId).toBe(sandbox.sandboxId);
    expect(await resumed.files.read('/home/user/note.txt')).toBe('kept');
    expect((await resumed.commands.run('echo $KEPT')).stdout).toBe('yes\n');
    const listed = await resumed.commands.list();
    expect(listed.map(({ pid }) => pid).sort()).toEqual([counter.pid, terminal.pid].sort());
    const before = await count(resumed);
    expect(before).toBeGreaterThan(3);
    await until(
      'the counter goes on',
      5000,
      () => count(resumed),
      (n) => n > before,
    );
    let screen = '';
    const again = await resumed.pty.connect(terminal.pid, {
      onData: (bytes) => {
        screen += new TextDecoder().decode(bytes);
      },
    });
    await resumed.pty.sendInput(terminal.pid, new TextEncoder().encode('echo "<$IN_SHELL>"\n'));
    await until(
      'the terminal answers',
      5000,
      () => screen,
      (text) => text.includes('<remembered>'),
    );
    await again.disconnect();
  });

  it('can be paused while clients hold streams and connections to it, again and again', async () => {
    const sandbox = await create();
    const chatter = await sandbox.commands.run('while true; do echo x; sleep 0.02; done', {
      background: true,
      timeoutMs: 0,
      onStdout: () => undefined,
    });
    const ended = chatter.wait().catch((error: Error) => error);
    await sandbox.commands.run('python3 -m http.server 8000 > /dev/null 2>&1', {
      background: true,
      timeoutMs: 0,
    });
    const page = async () => (await fetch(`http://${sandbox.getHost(8000)}/`)).status;
    await until('the server serves', 10_000, page, (status) => status === 200);
    for (let round = 0; round < 3; round++) {
      expect(await sandbox.pause()).toBe(true);
      const resumed = await connect(sandbox);
      expect(await page()).toBe(200);
      expect((await resumed.commands.run('echo round')).stdout).toBe('round\n');
    }
    expect(await ended).toBeInstanceOf(Error);
  });

  it('is listed as paused, holds its token, and can be killed', async () => {
    const sandbox = await create({ metadata: { purpose: 'pausing' } });
    await sandbox.pause();
    expect(await sandbox.pause()).toBe(false);
    expect(await sandbox.isRunning()).toBe(false);
    const query = { state: ['paused' as const], metadata: { purpose: 'pausing' } };
    const listed = await Sandbox.list({ ...connection, query }).nextItems();
    expect(listed.map(({ sandboxId, state }) => [sandboxId, state])).toEqual([[sandbox.sandboxId, 'paused']]);
    const gone = await fetch(`${sandboxUrl}/health`, {
      headers: { 'E2b-Sandbox-Id': sandbox.sandboxId, 'E2b-Sandbox-Port': '49983' },
    });
    expect(gone.status).toBe(502);
    expect(await Sandbox.kill(sandbox.sandboxId, connection)).toBe(true);
    await expect(connect(sandbox)).rejects.toBeInstanceOf(SandboxNotFoundError);
  });

  it('has one outcome when several clients act at once', async () => {
    const sandbox = await create();
    // One that comes late finds it paused.
    expect(await Promise.all([sandbox.pause(), sandbox.pause(), sandbox.pause()])).toContain(true);
    expect(await stateOf(sandbox)).toBe('paused');
    const connected = await Promise.all([connect(sandbox), connect(sandbox), connect(sandbox)]);
    expect(new Set(connected.map(({ sandboxId }) => sandboxId))).toEqual(new Set([sandbox.sandboxId]));
    expect(await stateOf(sandbox)).toBe('running');
    // A pause and a connect at once: whichever came last won, and the sandbox works on.
    await Promise.all([sandbox.pause(), connect(sandbox)]);
    const after = await connect(sandbox);
    expect((await after.commands.run('echo ok')).stdout).toBe('ok\n');
    const [, killed] = await Promise.all([
      sandbox.pause().catch((error: Error) => error),
      Sandbox.kill(sandbox.sandboxId, connection),
    ]);
    expect(killed).toBe(true);
    await expect(connect(sandbox)).rejects.toBeInstanceOf(SandboxNotFoundError);
  });
});

describe('the end of a sandbox’s time', () => {
  it('pauses it where its owner wants that, and traffic wakes it once for all who wait', async () => {
    const sandbox = await create({ lifecycle: { onTimeout: 'pause', autoResume: true } });
    await sandbox.commands.run('echo page > index.html; python3 -m http.server 8000 > /dev/null 2>&1', {
      background: true,
      cwd: '/home/user',
      timeoutMs: 0,
    });
    const url = `http://${sandbox.getHost(8000)}/index.html`;
    const page = async () => (await fetch(url)).text();
    await until('the server serves', 10_000, page, (text) => text === 'page\n');
    await sandbox.setTimeout(500);
    await until(
      'it is paused',
      20_000,
      () => stateOf(sandbox),
      (state) => state === 'paused',
    );
    expect(await Promise.all([page(), page(), page()])).toEqual(['page\n', 'page\n', 'page\n']);
    expect(await stateOf(sandbox)).toBe('running');
    await sandbox.pause();
    // The SDK's own calls wake it too.
    expect((await sandbox.commands.run('echo awake')).stdout).toBe('awake\n');
  });

  it('does not let traffic wake a sandbox whose owner did not ask for it', async () => {
    const sandbox = await create({ timeoutMs: 2000, lifecycle: { onTimeout: 'pause' } });
    await until(
      'it is paused',
      20_000,
      () => stateOf(sandbox),
      (state) => state === 'paused',
    );
    expect((await fetch(`http://${sandbox.getHost(8000)}/`)).status).toBe(502);
    expect(await stateOf(sandbox)).toBe('paused');
  });

  it('wakes a secured sandbox only for whoever has its token', async () => {
    const sandbox = await create({ lifecycle: { onTimeout: 'pause', autoResume: true } });
    await sandbox.pause();
    const ask = (token: string) =>
      fetch(`${sandboxUrl}/files?path=/etc/hostname`, {
        headers: {
          'E2b-Sandbox-Id': sandbox.sandboxId,
          'E2b-Sandbox-Port': '49983',
          ...(token ? { 'X-Access-Token': token } : {}),
        },
      });
    for (const token of ['', 'wrong']) expect((await ask(token)).status).toBe(403);
    expect(await stateOf(sandbox)).toBe('paused');
    expect((await sandbox.commands.run('hostname')).stdout.trim()).toBe(sandbox.sandboxId);
  });
});
