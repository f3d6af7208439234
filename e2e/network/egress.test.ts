import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { Sandbox, type SandboxNetworkOpts, type SandboxNetworkUpdate, type SandboxOpts } from 'e2b';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { addressOnHost } from '../setup/machine.ts';
import { until } from '../setup/until.ts';
import { attempt, curl, datagram, furnish, greeting, runProgram } from './inside.ts';
import { ARP, FRAME, KEPT, SYN } from './programs.ts';
import { OUT, SOCKS, World } from './world.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../islet');
const ALL = ['0.0.0.0/0'];

let world: World;
const made: Sandbox[] = [];

beforeAll(async () => {
  world = await World.open();
});
afterEach(async () => {
  await Promise.all(made.splice(0).map((sandbox) => Sandbox.kill(sandbox.sandboxId, world.connection)));
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function start(network: SandboxNetworkOpts = {}, options: SandboxOpts = {}): Promise<Sandbox> {
  const sandbox = await Sandbox.create({ ...world.connection, timeoutMs: 600_000, network, ...options });
  made.push(sandbox);
  await furnish(sandbox, world.authority);
  await world.seen();
  return sandbox;
}

async function api(method: string, path: string, body?: unknown) {
  const { apiUrl, apiKey } = world.connection;
  const response = await fetch(apiUrl + path, {
    method,
    headers: { 'X-API-Key': apiKey, 'Content-Type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

/** What a sandbox may reach of the usual places, by name of the place. */
const PLACES: Record<string, string> = {
  'http site': curl('http://site.test/'),
  'https site': curl('https://site.test/'),
  'https www': curl('https://www.site.test/'),
  'https deep': curl('https://deep.www.site.test/'),
  'http other': curl('http://other.test/'),
  'https 1.1.1.1': curl('https://1.1.1.1/'),
  'https 8.8.8.8': curl('https://8.8.8.8/'),
  'ssh site': greeting(OUT.site, 22),
  'udp site': datagram(OUT.site, 7001),
};

/** Of the places, those that a sandbox reaches. On a busy machine one that may be reached may take another try. */
async function reached(sandbox: Sandbox, expected: readonly string[]): Promise<string[]> {
  const look = async () => {
    const outcomes = await attempt(sandbox, Object.values(PLACES));
    return Object.keys(PLACES).filter((_, index) => outcomes[index]?.ok);
  };
  const isThere = (found: string[]) =>
    expected.every((place) => found.includes(place)) || found.some((place) => !expected.includes(place));
  return until('what may be reached is', 60_000, look, isThere);
}

async function expectReaches(sandbox: Sandbox, expected: readonly string[]): Promise<void> {
  expect(await reached(sandbox, expected)).toEqual(expected);
}

const EVERYTHING = Object.keys(PLACES);

it('rules by address and by name are replaced as a whole, and decide at once', async () => {
  const sandbox = await start();
  await expectReaches(sandbox, EVERYTHING);
  const cases: [SandboxNetworkUpdate, readonly string[]][] = [
    [{ denyOut: ALL }, []],
    [{ allowOut: ['1.1.1.1'], denyOut: ALL }, ['https 1.1.1.1']],
    [{ allowOut: ['1.1.1.0/24', '8.8.8.8'], denyOut: [...ALL, ...ALL] }, ['https 1.1.1.1', 'https 8.8.8.8']],
    [{ allowOut: ['1.1.1.1'], denyOut: ['1.1.1.1'] }, EVERYTHING],
    [{ denyOut: ['1.1.1.1'] }, EVERYTHING.filter((place) => place !== 'https 1.1.1.1')],
    [{ allowOut: ['1.1.1.1'] }, EVERYTHING],
    [{ allowOut: ['SITE.test'], denyOut: ALL }, ['http site', 'https site']],
    [{ allowOut: ['*.Site.Test'], denyOut: ALL }, ['https www', 'https deep']],
    [{ allowOut: ['*'], denyOut: ALL }, ['http site', 'https site', 'https www', 'https deep', 'http other']],
    [
      { allowOut: [OUT.site, 'other.test'], denyOut: ALL },
      ['http site', 'https site', 'https www', 'https deep', 'http other', 'ssh site', 'udp site'],
    ],
    [{ allowInternetAccess: false }, []],
    [{ allowInternetAccess: false, allowOut: ['8.8.8.8'] }, ['https 8.8.8.8']],
    [{}, EVERYTHING],
  ];
  for (const [rules, expected] of cases) {
    await sandbox.updateNetwork(rules);
    expect(await reached(sandbox, expected), JSON.stringify(rules)).toEqual(expected);
  }
});

it('no private, local or metadata address is reached in any notation, whatever is allowed', async () => {
  const names = ['private.test', 'metadata.test', 'own.test', 'rebinding.test'];
  const sandbox = await start({
    allowOut: [...names, '*', ...ALL, OUT.lan, OUT.metadata, OUT.host, '10.0.0.0/8'],
    denyOut: ALL,
  });
  const neighbour = await start();
  await neighbour.commands.run('python3 -m http.server 8000 --bind 0.0.0.0', { background: true });
  const address = await addressOnHost(world.dataDir, neighbour.sandboxId);
  const port = new URL(world.connection.apiUrl).port;
  // Somebody is there, whom others reach.
  await world.onMachine('curl', '-sS', '-m', '5', `http://${OUT.lan}/there`);
  await world.onMachine('curl', '-sS', '-m', '5', `http://${OUT.host}:${port}/health`);
  expect((await world.seen()).map(({ address }) => address)).toEqual([OUT.lan]);
  const hosts = [
    ...['169.254.169.254', '2852039166', '0xA9FEA9FE', '0251.0376.0251.0376', '169.254.43518'],
    ...['[::ffff:169.254.169.254]', '[::ffff:a9fe:a9fe]', '[64:ff9b::a9fe:a9fe]', '[fd00:ec2::254]'],
    ...['192.168.77.7', '0xc0a84d07', '3232255239', '[::ffff:192.168.77.7]'],
    ...['127.0.0.2', '0.0.0.0', '10.0.0.1', '100.100.100.200', '168.63.129.16', '192.0.0.192'],
    ...[OUT.host, address, address.replace(/\d+$/, (last) => String(Number(last) - 1))],
    ...['private.test', 'metadata.test', 'own.test'],
  ];
  const attempts = [
    ...hosts.map((host) => curl(`http://${host}/`)),
    ...['private.test', 'metadata.test', '169.254.169.254', '192.168.77.7'].map((host) =>
      curl(`https://${host}/`, '-k'),
    ),
    ...[OUT.host, 'own.test', '127.0.0.2'].map((host) => curl(`http://${host}:${port}/health`)),
    ...[8000, 49983].map((open) => curl(`http://${address}:${open}/`)),
    curl(`http://site.test/?to=http://${OUT.lan}/`, '-L'),
    curl('http://site.test/?to=http://metadata.test/', '-L'),
    curl('http://private.test/', '--resolve', `private.test:80:${OUT.site}`),
    curl('https://metadata.test/', '-k', '--resolve', `metadata.test:443:${OUT.site}`),
    ...[OUT.lan, OUT.metadata, address].map((host) => datagram(host, 7001)),
  ];
  const outcomes = await attempt(sandbox, attempts, 'root');
  expect(attempts.filter((_, index) => outcomes[index]?.ok)).toEqual([]);
  // A name that changes its address between two questions is dialled at the one that was looked at.
  await attempt(sandbox, new Array(12).fill(curl('http://rebinding.test/rebound')));
  // The gateway alone asks here: it uses an answer for a second, so each of the three addresses has its turn.
  const pinned = curl('http://rebinding.test/rebound', '--resolve', `rebinding.test:80:${OUT.site}`);
  await sandbox.commands.run(`for turn in 1 2 3; do sleep 1.1; ${pinned}; done; true`, { timeoutMs: 60_000 });
  const seen = await world.seen();
  expect(seen.some(({ address, path }) => address === OUT.site && path === '/rebound')).toBe(true);
  expect(seen.filter(({ address }) => address === OUT.lan || address === OUT.metadata)).toEqual([]);
});

it('a name is dialled where the gateway finds it, wherever the sandbox says it is', async () => {
  const sandbox = await start({ allowOut: ['site.test'], denyOut: ALL });
  await sandbox.commands.run(`echo '${OUT.other} site.test' >> /etc/hosts`, { user: 'root' });
  const lies = [
    curl('http://site.test/hosts'),
    curl('https://site.test/hosts'),
    curl('http://site.test/resolve', '--resolve', `site.test:80:${OUT.cloudflare}`),
    curl('https://site.test/resolve', '--resolve', `site.test:443:${OUT.cloudflare}`),
    curl(`http://${OUT.other}/host`, '-H', "'Host: site.test'"),
    curl('https://site.test/inner', '-H', "'Host: other.test'"),
  ];
  expect((await attempt(sandbox, lies)).map(({ ok }) => ok)).toEqual(lies.map(() => true));
  const seen = await world.seen();
  expect(seen).toHaveLength(lies.length);
  expect(new Set(seen.map(({ address }) => address))).toEqual(new Set([OUT.site]));
});

it('nothing is reached behind the back of the gateway', async () => {
  const sandbox = await start({ allowOut: ['site.test'], denyOut: ALL });
  const victim = await start();
  const own = await addressOnHost(world.dataDir, sandbox.sandboxId);
  const foreign = await addressOnHost(world.dataDir, victim.sandboxId);
  const attempts = [
    // Names are read at two ports.
    curl('http://site.test:8080/'),
    greeting('site.test', 22),
    curl('https://1.1.1.1/', '-k'),
    curl('http://1.1.1.1/'),
    curl(`http://${OUT.other}/`, '-H', "'Host: other.test'"),
    curl('https://other.test/', '-k'),
    curl('https://other.test/', '-k', '-H', "'Host: site.test'"),
    curl('https://1.1.1.1/', '-k', '-H', "'Host: site.test'"),
    curl('http://other.test/tunnel', '-p', '-x', 'http://site.test:80'),
    curl('https://other.test/tunnel', '-k', '-x', 'http://site.test:80'),
    datagram(OUT.site, 7001),
    datagram(OUT.cloudflare, 53),
    datagram(OUT.google, 7001),
    'ping -c 1 -W 2 1.1.1.1',
  ];
  const outcomes = await attempt(sandbox, attempts, 'root');
  expect(attempts.filter((_, index) => outcomes[index]?.ok)).toEqual([]);
  await runProgram(sandbox, KEPT, 'site.test', 'other.test', '1.1.1.1');
  const said: string[] = [];
  for (const source of [own, foreign, '45.60.0.9', '127.0.0.1']) {
    said.push(
      await runProgram(sandbox, SYN, source, OUT.other, '80'),
      await runProgram(sandbox, SYN, source, OUT.site, '80'),
      await runProgram(sandbox, FRAME, source, OUT.other, 'a-frame'),
    );
  }
  const gateway = own.replace(/\d+$/, (last) => String(Number(last) - 1));
  said.push(await runProgram(sandbox, ARP, foreign, gateway));
  // What nothing arrives of was sent; gVisor takes no frames from programs.
  expect(said.filter((text) => !/^sent$|Operation not supported$/m.test(text))).toEqual([]);
  expect(said.filter((text) => /^sent$/m.test(text)).length).toBeGreaterThanOrEqual(8);
  const places = await world.seen();
  const elsewhere = places.filter(({ address }) => address !== OUT.site);
  expect(elsewhere).toEqual([]);
  expect(places.filter(({ kind, path }) => kind === 'udp' || path === '/forged')).toEqual([]);
  // The neighbour is where it was.
  expect(
    (await attempt(victim, [curl('http://other.test/'), curl('https://site.test/')])).map(({ ok }) => ok),
  ).toEqual([true, true]);
});

it('connections that new rules forbid are cut, others go on', async () => {
  const sandbox = await start({ denyOut: ['9.9.9.9'] });
  const hold = `
import socket, sys
kept = [socket.create_connection((host, 22), 5) for host in ("${OUT.site}", "${OUT.other}")]
for each in kept: each.recv(99)
print("held", flush=True)
for each in kept:
    each.settimeout(${20})
    try: data = each.recv(99)
    except OSError as error: data = type(error).__name__.encode()
    print(data.decode() or "ended", flush=True)
`;
  await sandbox.files.write('/tmp/hold.py', hold);
  const said: string[] = [];
  const handle = await sandbox.commands.run('python3 -u /tmp/hold.py', {
    background: true,
    onStdout: (text) => void said.push(...text.split('\n').filter((line) => line !== '')),
  });
  await expect.poll(() => said).toContain('held');
  await sandbox.updateNetwork({ allowOut: [OUT.other], denyOut: ALL });
  await handle.wait();
  // Cut is the first, and the second is only late.
  expect(said.slice(1)).toEqual([expect.stringMatching(/^(ConnectionResetError|ended)$/), 'TimeoutError']);
});

describe('rules hold', () => {
  const rules = { allowOut: ['site.test'], denyOut: ALL };
  const places = ['http site', 'https site'];
  /** Writes a line for each place that it reaches, for as long as it runs. */
  const watch = `while :; do for url in http://site.test/ http://other.test/ https://1.1.1.1/; do curl -sk -m 2 -o /dev/null $url && echo $url >> /tmp/reached; done; sleep 0.2; done`;

  it('over pause and resume, in forks, and not in what is made of a snapshot', async () => {
    const sandbox = await start(rules);
    const [fork] = await sandbox.fork({ timeoutMs: 300_000 });
    if (!fork || fork instanceof Error) throw fork ?? new Error('it was not forked');
    made.push(fork);
    await expectReaches(fork, places);
    const snapshot = await sandbox.createSnapshot();
    const other = await Sandbox.create(snapshot.snapshotId, { ...world.connection, timeoutMs: 300_000 });
    made.push(other);
    await expectReaches(other, EVERYTHING);
    await other.kill();
    await Sandbox.deleteSnapshot(snapshot.snapshotId, world.connection);
    await sandbox.pause();
    const resumed = await Sandbox.connect(sandbox.sandboxId, { ...world.connection, timeoutMs: 300_000 });
    await expectReaches(resumed, places);
    const info = await api('GET', `/sandboxes/${sandbox.sandboxId}`);
    expect(info.body.network).toMatchObject(rules);
  });

  it('while the gateway is dead, and Islet', async () => {
    const sandbox = await start(rules);
    await sandbox.commands.run(watch, { background: true, timeoutMs: 0 });
    const lines = async () => (await sandbox.files.read('/tmp/reached').catch(() => '')).split('\n');
    const site = async () => (await lines()).filter((line) => line === 'http://site.test/').length;
    await expect.poll(site).toBeGreaterThan(1);

    process.kill(await gatewayPid(world.islet.pid), 'SIGKILL');
    const before = await site();
    await expect.poll(site).toBeGreaterThan(before + 1);

    await world.killIslet();
    await new Promise((done) => setTimeout(done, 3_000));
    await world.startIslet();
    const again = await Sandbox.connect(sandbox.sandboxId, { ...world.connection, timeoutMs: 300_000 });
    await expectReaches(again, places);
    const seen = await lines();
    expect(seen.filter((line) => line !== '' && line !== 'http://site.test/')).toEqual([]);
  }, 300_000);
});

describe('the customer’s proxy', () => {
  it('gets names as names and addresses as addresses, is used by nobody behind its back, and its password is told to nobody', async () => {
    const egressProxy = { address: SOCKS.locked, username: SOCKS.username, password: SOCKS.password };
    const sandbox = await start({ allowOut: ['site.test', OUT.other], denyOut: ALL, egressProxy });
    const tried = [curl('https://site.test/'), curl(`http://${OUT.other}/`), greeting(OUT.other, 22)];
    expect((await attempt(sandbox, tried)).map(({ ok }) => ok)).toEqual([true, true, true]);
    expect((await attempt(sandbox, [curl('https://1.1.1.1/')]))[0]?.ok).toBe(false);
    const asked = (await world.seen()).filter(({ kind }) => kind === 'socks');
    const user = SOCKS.username;
    expect(asked).toHaveLength(3);
    expect(asked).toContainEqual({ kind: 'socks', host: 'site.test', port: 443, type: 'name', user });
    expect(asked).toContainEqual({ kind: 'socks', host: OUT.other, port: 22, type: 'address', user });
    const { network } = await sandbox.getInfo();
    expect(network?.egressProxy).toEqual({ address: SOCKS.locked, username: SOCKS.username });

    await sandbox.updateNetwork({ egressProxy: { ...egressProxy, password: 'wrong' } });
    expect((await attempt(sandbox, tried)).map(({ ok }) => ok)).toEqual([false, false, false]);
    await sandbox.updateNetwork({ egressProxy: { address: SOCKS.open } });
    expect((await attempt(sandbox, tried)).map(({ ok }) => ok)).toEqual([true, true, true]);
    expect((await world.seen()).filter(({ kind }) => kind === 'socks').map(({ user }) => user)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    await sandbox.updateNetwork({});
    expect((await attempt(sandbox, tried)).map(({ ok }) => ok)).toEqual([true, true, true]);
    expect((await world.seen()).filter(({ kind }) => kind === 'socks')).toEqual([]);
  });

  it('is refused where it points inside', async () => {
    const sandbox = await start();
    for (const address of [
      '127.0.0.1:1080',
      '169.254.169.254:80',
      'localhost:1080',
      '[::ffff:10.0.0.1]:1080',
    ]) {
      const answer = await api('PUT', `/sandboxes/${sandbox.sandboxId}/network`, {
        egressProxy: { address },
      });
      expect(answer.status).toBe(400);
      expect(answer.body.message).toMatch(/^Invalid egress proxy config: .*denied IP range/);
    }
    await expectReaches(sandbox, EVERYTHING);
  });
});

it('learns what a sandbox needs, suggests rules that allow it, and says why what is denied is', async () => {
  const { sandboxID } = (
    await api('POST', '/sandboxes', { templateID: 'base', timeout: 300, network: { learning: true } })
  ).body;
  const sandbox = await Sandbox.connect(sandboxID, world.connection);
  made.push(sandbox);
  await furnish(sandbox, world.authority);
  await expectReaches(sandbox, EVERYTHING);
  expect((await api('GET', `/sandboxes/${sandboxID}`)).body.network.learning).toBe(true);
  const path = `/sandboxes/${sandboxID}/network`;
  const needed = ['site.test', 'other.test', OUT.cloudflare, OUT.google, OUT.site];
  const wanted = { allowOut: expect.arrayContaining(needed), denyOut: ALL };
  await expect.poll(async () => (await api('GET', `${path}/suggestions`)).body).toMatchObject(wanted);
  const { allowOut, denyOut } = (await api('GET', `${path}/suggestions`)).body;
  await sandbox.updateNetwork({ allowOut, denyOut });
  await expectReaches(sandbox, EVERYTHING);

  await sandbox.updateNetwork({ allowOut: ['site.test'], denyOut: ALL });
  await expectReaches(sandbox, ['http site', 'https site']);
  const denied = async () => (await api('GET', `${path}/verdicts?decision=denied`)).body.verdicts;
  await expect.poll(denied).toContainEqual(
    expect.objectContaining({
      ...{ name: 'other.test', port: 80, decision: 'denied', rule: '0.0.0.0/0', matchType: 'cidr' },
      reason: '0.0.0.0/0 in denyOut denies it, and nothing in allowOut allows other.test',
    }),
  );
  expect(await denied()).toContainEqual(
    expect.objectContaining({ protocol: 'udp', address: OUT.site, port: 7001, rule: '0.0.0.0/0' }),
  );
  const { apiUrl, apiKey } = world.connection;
  const islet = async (...args: string[]) =>
    (await promisify(execFile)(LAUNCHER, ['network', ...args, '--api-url', apiUrl, '--api-key', apiKey]))
      .stdout;
  expect(await islet('verdicts', sandboxID, '--decision', 'denied')).toMatch(
    /denied +tcp other\.test:80 +\d+ +0\.0\.0\.0\/0 in denyOut denies it/,
  );
  expect(JSON.parse(await islet('suggest', sandboxID, '--json'))).toMatchObject({ denyOut: ALL });
});

it('refuses rules that mean nothing, with the protocol’s words', async () => {
  const sandbox = await start({ denyOut: [OUT.other] });
  const put = (body: unknown) => api('PUT', `/sandboxes/${sandbox.sandboxId}/network`, body);
  const all =
    "When specifying allowed domains in allow out, you must include 'ALL_TRAFFIC' in deny out to block all other traffic.";
  for (const [body, message] of [
    [{ denyOut: ['site.test'] }, 'invalid denied CIDR site.test'],
    [{ allowOut: ['0.0.0.0'] }, 'invalid allowed address 0.0.0.0'],
    [{ allowOut: ['site.test'] }, all],
    [
      { egressProxy: { address: 'site.test' } },
      'Invalid egress proxy config: egress proxy address must be in host:port form: address site.test: missing port in address',
    ],
  ] as const) {
    expect(await put(body)).toEqual({ status: 400, body: { code: 400, message } });
  }
  await expectReaches(
    sandbox,
    EVERYTHING.filter((place) => place !== 'http other'),
  );
  expect((await api('PUT', '/sandboxes/inobodynobodynobody1/network', {})).status).toBe(404);
});

/** The one process of an Islet that is its gateway. */
async function gatewayPid(islet: number): Promise<number> {
  const children = (await readFile(`/proc/${islet}/task/${islet}/children`, 'utf8')).trim().split(' ');
  for (const pid of children) {
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes('islet-egress')) return Number(pid);
  }
  throw new Error(`no gateway among ${children.join(', ')}`);
}
