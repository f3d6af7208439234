import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { connect as connectPlainly, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import {
  type Certificate,
  certifyMember,
  identityOf,
  makeClusterAuthority,
  newIdentity,
  requestCertificate,
} from '@islet/certificates';
import { TestAgent } from '@islet/consul/test-agent';
import { type PostgresCluster, startPostgres } from '@islet/db/test-server';
import { TestServer } from '@islet/redis/test-server';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { JoinedMachines } from './joined-machines.ts';

const PORT = 8000;

describe('machines that join a cluster', () => {
  let dir: string;
  let postgres: PostgresCluster;
  let redis: TestServer;
  let consul: TestAgent;
  let machines: JoinedMachines;
  /** What the edge was told that joined once more. */
  let twice: string;
  let connection: { apiUrl: string; sandboxUrl: string; apiKey: string };
  beforeAll(async () => {
    dir = await newDataDir();
    [postgres, redis] = await Promise.all([startPostgres(), TestServer.start('redis-server')]);
    consul = await TestAgent.start();
    consul.checksBegin = 'passing';
    const env = {
      ...{ DATABASE_URL: await postgres.createDatabase('cluster'), ISLET_REDIS_URL: redis.url },
      ISLET_CONSUL: consul.url,
    };
    machines = new JoinedMachines(dir, env);
    const { addresses } = machines;
    await machines.serve('api', ['api', '--advertise', addresses.api]);
    const edge = await machines.token('edge');
    await machines.command('edge', ['join', '--advertise', addresses.edge], `${edge}\n`);
    twice = (await machines.command('edge', ['join', edge])).stderr;
    await writeFile(join(dir, 'token'), await machines.token('node'));
    await Promise.all([
      machines.serve('edge', [
        'edge',
        ...['--control-plane', `https://${addresses.api}:5010,https://${addresses.second}:5010`],
      ]),
      machines.serve('node', [
        ...['join', '--start', '--name', 'one', '--labels', 'zone=a'],
        ...['--advertise', addresses.node, '--token-file', join(dir, 'token')],
      ]),
    ]);
    const { apiUrl, sandboxUrl } = machines;
    connection = { apiUrl, sandboxUrl, apiKey: await machines.secret('api', 'api-key') };
  });
  afterAll(async () => {
    await machines?.[Symbol.asyncDispose]();
    await consul?.[Symbol.asyncDispose]();
    await redis?.[Symbol.asyncDispose]();
    await postgres?.stop();
    await removeDataDir(dir);
  });

  const create = () => Sandbox.create('base', { ...connection, timeoutMs: 600_000 });

  it('serve the core of the SDK within seconds', async () => {
    const sandbox = await until('a sandbox is created', 60_000, create, () => true);
    expect((await sandbox.commands.run('echo hello')).stdout).toBe('hello\n');
    await sandbox.files.write('/home/user/index.html', 'from inside');
    await sandbox.commands.run(`python3 -m http.server ${PORT}`, { background: true, timeoutMs: 0 });
    await expect.poll(() => page(sandbox)).toBe('200 from inside');
    expect(await sandbox.pause()).toBe(true);
    const resumed = await Sandbox.connect(sandbox.sandboxId, connection);
    expect(await resumed.files.read('/home/user/index.html')).toBe('from inside');
    await expect.poll(() => page(resumed)).toBe('200 from inside');
    expect(await resumed.kill()).toBe(true);
  });

  it('are in the catalogue of Consul, where the API finds its nodes', () => {
    const { addresses } = machines;
    const entries = [...consul.services.values()].map(
      ({ Name, Address, Port }) => `${Name} ${Address}:${Port}`,
    );
    expect(entries.sort()).toEqual([
      `islet-api ${addresses.api}:3000`,
      `islet-edge ${addresses.edge}:3002`,
      `islet-node ${addresses.node}:5008`,
    ]);
    const [node] = [...consul.services.values()].filter(({ Name }) => Name === 'islet-node');
    expect(node).toMatchObject({
      Meta: {
        'islet-node': 'one',
        'label-zone': 'a',
        'sandbox-proxy-port': '5007',
        'template-manager-port': '5009',
      },
      Check: { TCP: `${addresses.node}:5008` },
    });
  });

  it('are let in by no token that was used, is damaged, unknown, or of another cluster', async () => {
    const used = await readFile(join(dir, 'token'), 'utf8');
    const changed = (change: object) => {
      const content = JSON.parse(Buffer.from(used.replace('islet-join-', ''), 'base64url').toString());
      const text = JSON.stringify({ ...content, ...change });
      return `islet-join-${Buffer.from(text).toString('base64url')}`;
    };
    const attempts: [token: string, said: RegExp][] = [
      [used, /was used already/],
      [used.slice(0, -20), /is damaged/],
      [changed({ secret: 'x'.repeat(43) }), /has made no such token/],
      [changed({ authority: '0'.repeat(64) }), /not of the cluster that made this token/],
      [
        changed({ api: `${machines.addresses.node}:5008` }),
        /is of the node of a cluster|answers|certificate|did not answer/,
      ],
    ];
    for (const [token, said] of attempts) {
      const dataDir = join(dir, 'nobody');
      const { code, stdout, stderr } = await machines.command('edge', ['join', token, '--data-dir', dataDir]);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(said);
    }
    expect(twice).toMatch(/has joined already, as edge/);
  });

  it('answer nobody who is not who they have to be', async () => {
    const ports = await listening(machines.pid('node'));
    expect(ports.map(({ port }) => port)).toEqual(expect.arrayContaining([5007, 5008, 5009]));
    const others = await makeClusterAuthority(new Date());
    const { key, request } = await requestCertificate();
    const { cert } = await certifyMember(others, request, newIdentity('api', 'x'), new Date());
    const [edge, node] = await Promise.all(
      (['edge', 'node'] as const).map(async (machine) => {
        return JSON.parse(await machines.secret(machine, 'cluster-member')) as { cert: string; key: string };
      }),
    );
    for (const at of ports) {
      expect(await plain(at)).toBe('');
      for (const shown of [{}, { cert, key }]) expect(await heard(at, shown)).toBe('');
      // Nodes ask each other for saved states, and nothing else.
      const ofNode = await heard(at, { cert: node?.cert, key: node?.key });
      if (at.port === 5008) expect(ofNode).toMatch(/^HTTP\/1.1 404 /);
      else expect(ofNode).toBe('');
      // The edge may ask the proxy alone.
      const ofEdge = await heard(at, { cert: edge?.cert, key: edge?.key });
      if (at.port === 5007) expect(ofEdge).toMatch(/^HTTP\/1.1 400 /);
      else expect(ofEdge).toBe('');
    }
  });

  it('become another API, with which the first may die', async () => {
    const { addresses } = machines;
    const sandbox = await create();
    const token = await machines.token('api');
    await machines.serve('second', ['join', '--start', '--advertise', addresses.second], `${token}\n`);
    for (const name of ['cluster-authority', 'token-seed', 'admin-token', 'master-key']) {
      expect(await machines.secret('second', name)).toBe(await machines.secret('api', name));
    }
    const used = await machines.command('edge', ['join', token, '--data-dir', join(dir, 'nobody')]);
    expect(used.stderr).toMatch(/was used already/);
    const unused = await machines.token('api');
    await machines.end('api', 'SIGKILL');
    // Nor does it take the place of what is there.
    expect((await machines.command('api', ['join', unused])).stderr).toMatch(/token-seed is of an API/);
    const other = { ...connection, apiUrl: `http://${addresses.second}:3000` };
    const known = await Sandbox.connect(sandbox.sandboxId, other);
    expect((await known.commands.run('echo still')).stdout).toBe('still\n');
    const made = await until(
      'the second creates',
      60_000,
      () => Sandbox.create('base', other),
      () => true,
    );
    const said = await until(
      'the edge finds it',
      60_000,
      () => made.commands.run('echo new'),
      () => true,
    );
    expect(said.stdout).toBe('new\n');
    for (const each of [known, made]) expect(await each.kill()).toBe(true);
    await machines.serve('api', ['api', '--advertise', addresses.api]);
  });

  describe('as nodes that an operator', () => {
    const node = async (...words: string[]) => {
      const { code, stdout, stderr } = await machines.command('api', ['node', ...words, '--json']);
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as { id: string; status: string }[] & { id: string; status: string };
    };
    const outcome = () => create().then(async (sandbox) => (await sandbox.kill()) && 'created', String);

    it('drains, get nothing new, and go on with what they have', async () => {
      const before = await create();
      expect(await node('list')).toMatchObject([{ id: 'one', status: 'ready', sandboxCount: 1 }]);
      // It has nowhere to go.
      const drained = await machines.command('api', ['node', 'drain', 'one', '--json']);
      expect(drained.code).toBe(1);
      expect(JSON.parse(drained.stdout)).toMatchObject({
        ...{ id: 'one', status: 'draining', moved: [] },
        stayed: [{ sandboxID: before.sandboxId, reason: expect.stringMatching(/no other node/) }],
      });
      expect(await node('show', 'one')).toMatchObject({
        ...{ id: 'one', status: 'draining' },
        sandboxes: [{ sandboxID: before.sandboxId }],
      });
      expect(await outcome()).toMatch(/ServiceBusyError.*no node answers/);
      expect((await before.commands.run('echo on')).stdout).toBe('on\n');
      await expect(node('remove', 'one')).rejects.toThrow(/has 1 sandboxes/);
      expect(await before.kill()).toBe(true);
      await node('undrain', 'one');
      expect(await outcome()).toBe('created');
      await expect(node('drain', 'two')).rejects.toThrow(/no such node/);
    });

    it('removes edges of, refuse them within seconds', async () => {
      const { cert, key } = JSON.parse(await machines.secret('edge', 'cluster-member')) as Certificate;
      const at = { host: machines.addresses.node, port: 5007 };
      expect(await heard(at, { cert, key })).toMatch(/^HTTP\/1.1 400 /);
      expect(await node('remove', identityOf(cert)?.name ?? '', '--edge')).toMatchObject({ removed: true });
      await expect.poll(() => heard(at, { cert, key })).toBe('');
      await expect(node('remove', 'another', '--edge')).rejects.toThrow(/no edge has joined as another/);
    });

    it('removes, are no members any more', async () => {
      await node('remove', 'one');
      await expect.poll(() => node('list')).toEqual([]);
      expect(await outcome()).toMatch(/ServiceBusyError.*no node answers/);
      await machines.end('node', 'SIGTERM');
      await machines.serve('node', ['node']);
      await expect.poll(() => machines.log).toContain('was removed from its cluster');
      expect(await node('list')).toEqual([]);
    });
  });

  async function page({ sandboxId }: Sandbox): Promise<string> {
    const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(PORT) };
    const answer = await fetch(machines.sandboxUrl, { headers, signal: AbortSignal.timeout(10_000) });
    return `${answer.status} ${(await answer.text()).trim()}`;
  }
});

interface Place {
  host: string;
  port: number;
}

/** Where a process listens, on IPv4. */
async function listening(pid: number): Promise<Place[]> {
  const fds = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  const inodes = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
  const lines = (await readFile(`/proc/${pid}/net/tcp`, 'utf8')).trim().split('\n').slice(1);
  return lines.flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    if (state !== '0A' || !inodes.has(inode)) return [];
    const [address = '', port = ''] = local.split(':');
    const host = [...Buffer.from(address, 'hex')].reverse().join('.');
    return [{ host, port: Number.parseInt(port, 16) }];
  });
}

const TLS_ALERT = 0x15;
const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

/** What a TLS client hears that asks for something, and shows this. */
async function heard({ host, port }: Place, shown: ConnectionOptions): Promise<string> {
  const socket = connect({ host, port, ...shown, rejectUnauthorized: false });
  socket.on('secureConnect', () => socket.write(REQUEST));
  return untilClosed(socket);
}

/** What a client hears that speaks no TLS, besides that it is to. */
async function plain(at: Place): Promise<string> {
  const socket = connectPlainly(at);
  socket.write(REQUEST);
  const text = await untilClosed(socket);
  return text.charCodeAt(0) === TLS_ALERT ? '' : text;
}

function untilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('latin1').on('data', (piece: string) => {
    text += piece;
  });
  return new Promise((resolve) => {
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}
