import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { jsonLines, runIslet } from '../setup/command.ts';
import { ControlPlane, type ListedBody, type SandboxBody } from '../setup/control-plane.ts';
import { type Footprint, footprint } from '../setup/footprint.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { END_SANDBOX, VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { machineOf } from '../setup/machine.ts';
import { expectSettlesTo, settledFootprint } from '../setup/settle.ts';
import { until } from '../setup/until.ts';

const shared = inject('islet');
let dataDir: string;
/** The Islet of that directory, as long as there is one. */
let islet: RunningInstance | undefined;
let api: ControlPlane;

/** None is kept ready where things are counted: the number of things would follow the demand. */
const NONE_READY = ['--warm-memory', '0'];

async function start(options = NONE_READY, ownProcessGroup = false): Promise<RunningInstance> {
  islet = await startInstance(dataDir, options, { ownProcessGroup });
  api = new ControlPlane(islet.access);
  return islet;
}

async function stop(signal: NodeJS.Signals): Promise<number | null> {
  const code = await islet?.stop(signal);
  islet = undefined;
  return code ?? null;
}

function connectTo(sandboxId: string): Promise<Sandbox> {
  const { apiUrl, sandboxUrl, apiKey } = api.access;
  return Sandbox.connect(sandboxId, { apiUrl, sandboxUrl, apiKey, timeoutMs: 1_000 });
}

/** After a stop nothing is left but what the next start needs. */
async function expectNothingLeft(): Promise<void> {
  const left = await footprint({ dataDir });
  const { files, ...rest } = left;
  const nothing: Omit<Footprint, 'files'> = {
    processes: [],
    networkNamespaces: [],
    links: [],
    firewall: [],
    mounts: [],
    cgroups: [],
    descriptors: [],
    claims: [],
  };
  expect(rest).toEqual(nothing);
  const kept =
    /^(node-id$|secrets|https|templates|guest|images|builds$|rootfs$|artifacts$|states|roots|sandboxes$|machines$|volumes$|exchange(\/work)?$)/;
  const odd = files.filter((file) => !kept.test(file.replace(`${dataDir}/`, '')));
  expect(odd).toEqual([]);
}

beforeAll(async () => {
  dataDir = await newDataDir();
  await start();
});
afterAll(async () => {
  if (islet) await stop('SIGTERM');
  await removeDataDir(dataDir);
});

describe('beside a running Islet', () => {
  it('a second one on the same data directory is refused and told by whom', async () => {
    const { code, stdout } = await runIslet(['up', '--json', '--data-dir', dataDir, ...freePorts()]);
    expect(code).toBe(1);
    const events = jsonLines<{ event: string; message?: string }>(stdout);
    expect(events.map(({ event }) => event)).not.toContain('ready');
    const [error] = events.filter(({ event }) => event === 'error');
    expect(error?.message).toContain(dataDir);
    expect(error?.message).toContain(`pid ${islet?.pid}`);
    expect(error?.message).toContain('--data-dir');
    expect((await api.call('GET', '/health')).status).toBe(200);
  });

  it('one on ports that are taken is told all of them, with their holder and option', async () => {
    const elsewhere = await newDataDir();
    const ports = [api.access.apiUrl, api.access.sandboxUrl].map((url) => new URL(url).port);
    const [apiPort = '', proxyPort = ''] = ports;
    const args = [...freePorts('sandbox-proxy', 'orchestrator', 'template-manager')];
    const { code, stdout } = await runIslet([
      ...['up', '--json', '--data-dir', elsewhere, '--api-port', apiPort, '--proxy-port', proxyPort, ...args],
    ]);
    expect(code).toBe(1);
    const [error] = jsonLines<{ event: string; message: string }>(stdout).filter(
      ({ event }) => event === 'error',
    );
    for (const [port, option] of [
      [apiPort, '--api-port'],
      [proxyPort, '--proxy-port'],
    ] as const) {
      const line = error?.message.split('\n').find((text) => text.includes(`:${port} `));
      expect(line).toContain(`pid ${islet?.pid}`);
      expect(line).toContain(option);
    }
    await removeDataDir(elsewhere);
  });

  it('one with another data directory and other ports works, and the two know nothing of each other', async () => {
    await using other = new ControlPlane(shared);
    const [mine, theirs] = await Promise.all([api.create(), other.create()]);
    expect((await other.get(mine.sandboxID)).status).toBe(404);
    expect((await api.get(theirs.sandboxID)).status).toBe(404);
    expect((await other.edge(mine.sandboxID, 49983, '/health')).status).toBe(502);
    expect((await api.edge(theirs.sandboxID, 49983, '/health')).status).toBe(502);
    for (const [client, { sandboxID }] of [
      [api, mine],
      [other, theirs],
    ] as const) {
      expect((await client.edge(sandboxID, 49983, '/health')).status).toBe(204);
    }
    await api.kill(mine.sandboxID);
  });
});

describe('the log', () => {
  it('says why a sandbox ended that nobody ended', async () => {
    const { sandboxID } = await api.create({ timeout: 120 });
    const { sandboxID: killed } = await api.create({ timeout: 120 });
    const ended = await connectTo(sandboxID);
    const eatMemory = `python3 -c 'keep = [bytearray(b"x") * (1 << 20) for _ in range(4096)]'`;
    const [command, why] = VIRTUAL_MACHINES
      ? [END_SANDBOX, 'its init process is gone']
      : [eatMemory, 'it used more memory than its limit'];
    await expect(ended.commands.run(command, { user: 'root' })).rejects.toThrow();
    await api.kill(killed);
    const log = await until(
      'the log has it',
      10_000,
      () => islet?.log() ?? '',
      (text) =>
        text
          .split('\n')
          .slice(0, -1)
          .some((line) => line.includes(sandboxID)),
    );
    const lines = log.split('\n').filter((line) => line.includes(sandboxID));
    expect(lines.join('\n')).toContain(why);
    expect(log).not.toContain(killed);
  });
});

describe('an Islet that was killed and started again', () => {
  let empty: Footprint;
  let lasting: SandboxBody;
  let restricted: SandboxBody;
  let short: SandboxBody;
  let before: ListedBody;

  beforeAll(async () => {
    await api[Symbol.asyncDispose]();
    // The gateway, which comes with the first sandbox that has rules, stays as long as its node.
    await api.kill((await api.create({ allow_internet_access: false })).sandboxID);
    empty = await settledFootprint(api.access);
    [lasting, restricted, short] = await Promise.all([
      api.create({ timeout: 600, secure: true, metadata: { kept: 'yes' }, envVars: { KEPT: 'env' } }),
      api.create({ timeout: 600, allow_internet_access: false }),
      api.create({ timeout: 600 }),
    ]);
    const sandbox = await connectTo(lasting.sandboxID);
    await sandbox.files.write('/home/user/kept', 'file');
    await sandbox.commands.run('while :; do date +%s%N > /home/user/beat; sleep 0.1; done', {
      background: true,
      timeoutMs: 0,
    });
    before = (await api.get(lasting.sandboxID)).body;
    // Its time is over while no Islet runs.
    expect(
      (await api.call('POST', `/sandboxes/${short.sandboxID}/timeout`, { body: { timeout: 3 } })).status,
    ).toBe(204);
    const shortEnd = Date.now() + 3_000;
    // Some are on their way when it is killed: each comes to be or not, but none is left half made.
    const onTheirWay = Array.from({ length: 4 }, () =>
      api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } }).catch(() => undefined),
    );
    await sleep(150);
    expect(await stop('SIGKILL')).toBeNull();
    await Promise.all(onTheirWay);
    await sleep(Math.max(0, shortEnd - Date.now()));
    await start();
  });

  it('lists the sandboxes that still run, as they were, and not those whose time is over', async () => {
    const { body } = await api.call<ListedBody[]>('GET', '/v2/sandboxes');
    const ids = body.map(({ sandboxID }) => sandboxID);
    expect(ids).toEqual(expect.arrayContaining([lasting.sandboxID, restricted.sandboxID]));
    expect(ids).not.toContain(short.sandboxID);
    expect((await api.get(short.sandboxID)).status).toBe(404);
    const after = await api.get(lasting.sandboxID);
    // The domain names the proxy's port, which is another one now.
    expect(after.body).toEqual({ ...before, domain: expect.any(String) });
    expect((await api.get(restricted.sandboxID)).body).toMatchObject({ allowInternetAccess: false });
  });

  it('still has what it said of them, once', async () => {
    type Logs = { logs: { message: string }[] };
    const { body } = await api.call<Logs>('GET', `/v2/sandboxes/${lasting.sandboxID}/logs`);
    expect(body.logs.filter(({ message }) => message === 'sandbox runs')).toHaveLength(1);
  });

  it('reaches into them: files, running processes and new commands', async () => {
    const sandbox = await connectTo(lasting.sandboxID);
    expect(await sandbox.files.read('/home/user/kept')).toBe('file');
    expect((await sandbox.commands.run('echo $KEPT')).stdout).toBe('env\n');
    const beat = await sandbox.files.read('/home/user/beat');
    await until(
      'the process goes on',
      10_000,
      () => sandbox.files.read('/home/user/beat'),
      (text) => text !== beat,
    );
  });

  it('has none half made: every one listed works, and each has its share of the machine', async () => {
    const { body } = await api.call<ListedBody[]>('GET', '/v2/sandboxes');
    for (const { sandboxID } of body) {
      expect((await api.edge(sandboxID, 49983, '/health')).status, sandboxID).toBe(204);
    }
    const { files, cgroups } = await settledFootprint(api.access);
    const folders = files
      .filter((file) => /\/sandboxes\/[^/]+$/.test(file))
      .map((file) => file.split('/').at(-1));
    expect(folders.sort()).toEqual(body.map(({ sandboxID }) => sandboxID).sort());
    const named = cgroups
      .map((group) => group.split('/').at(-1))
      .filter((name) => /^m[0-9a-f]{16}$/.test(name ?? ''));
    const machines = await Promise.all(body.map(({ sandboxID }) => machineOf(dataDir, sandboxID)));
    expect([...new Set(named)].sort()).toEqual(machines.sort());
  });

  it('ends them on time, and on demand, without a trace', async () => {
    expect(
      (await api.call('POST', `/sandboxes/${restricted.sandboxID}/timeout`, { body: { timeout: 1 } })).status,
    ).toBe(204);
    await until(
      'the adopted sandbox ends',
      3_000,
      () => api.get(restricted.sandboxID),
      ({ status }) => status === 404,
    );
    const { body } = await api.call<ListedBody[]>('GET', '/v2/sandboxes');
    await Promise.all(body.map(({ sandboxID }) => api.kill(sandboxID)));
    await expectSettlesTo(
      { ...empty, descriptors: (await settledFootprint(api.access)).descriptors },
      api.access,
    );
  });
});

describe('an Islet that is stopped while sandboxes run', () => {
  it('ends with 0 on SIGTERM and leaves nothing', async () => {
    if (islet) await stop('SIGTERM');
    await start([]);
    await Promise.all(Array.from({ length: 3 }, () => api.create({ timeout: 600 })));
    expect(await stop('SIGTERM')).toBe(0);
    await expectNothingLeft();
  });

  it('ends with 0 on Ctrl-C at the terminal, which every process of it gets, and leaves nothing', async () => {
    const running = await start([], true);
    await Promise.all(Array.from({ length: 3 }, () => api.create({ timeout: 600 })));
    // One more is on its way: it must not be left half made.
    const last = api.call('POST', '/sandboxes', { body: { templateID: 'base' } }).catch(() => undefined);
    await sleep(50);
    process.kill(-running.pid, 'SIGINT');
    expect(await running.ended).toBe(0);
    islet = undefined;
    await last;
    await expectNothingLeft();
  });
});

function freePorts(...names: string[]): string[] {
  const all = ['api', 'proxy', 'sandbox-proxy', 'orchestrator', 'template-manager'];
  return (names.length > 0 ? names : all).flatMap((name) => [`--${name}-port`, '0']);
}
