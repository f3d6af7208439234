import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { type Sandbox, Template } from 'e2b';
import type { ControlPlane } from '../setup/control-plane.ts';
import { attack } from './attack.ts';
import { letLoose, type StrangerOrder } from './stranger-order.ts';

/** A team that means ill. */
export interface Attacker {
  /** Its calls to the API. */
  api: ControlPlane;
  /** Its sandbox, which an abuse may wear out; `flood.py` answers on `FLOOD_PORT`. */
  sandbox: Sandbox;
}

/** Ends an abuse. */
export type Stop = () => Promise<void>;

export interface Abuse {
  name: string;
  /** Resolves when it is under way. */
  begin(attacker: Attacker): Promise<Stop>;
}

export const FLOOD_PORT = 8090;
const PROGRAMS = join(import.meta.dirname, 'programs');

/** Has an attacker's sandbox serve floods; see `programs/flood.py`. */
export async function serveFloods(sandbox: Sandbox): Promise<void> {
  await attack(sandbox, 'flood.py', [String(FLOOD_PORT)]);
}

/** Longest wait for the last piece of an abuse's work. */
const STOP_MS = 15_000;

/** Work over and over, `atOnce` at a time, whatever becomes of it. */
function repeat(atOnce: number, work: () => Promise<unknown>): Stop {
  let stopped = false;
  const loops = Array.from({ length: atOnce }, async () => {
    while (!stopped) {
      await work().catch(() => undefined);
      // What is refused at once must not keep the tester itself busy.
      await sleep(5);
    }
  });
  return async () => {
    stopped = true;
    // What is under way may take long, and ends by itself.
    await Promise.race([Promise.all(loops), sleep(STOP_MS, undefined, { ref: false })]);
  };
}

/** A misbehaving client of the attacker's own sandbox. */
function throughEdge(order: Pick<StrangerOrder, 'kind' | 'connections' | 'path'>): Abuse['begin'] {
  return ({ api, sandbox }) => {
    const { hostname, port } = new URL(api.access.sandboxUrl);
    const headers = { 'E2b-Sandbox-Id': sandbox.sandboxId, 'E2b-Sandbox-Port': String(FLOOD_PORT) };
    return letLoose({ host: hostname, port: Number(port), headers, ...order });
  };
}

function atApi(order: Pick<StrangerOrder, 'kind' | 'connections' | 'path'>): Abuse['begin'] {
  return ({ api }) => {
    const { hostname, port } = new URL(api.access.apiUrl);
    return letLoose({ host: hostname, port: Number(port), headers: { 'X-API-Key': api.key }, ...order });
  };
}

/** A shell's script in the attacker's own sandbox, ended with everything that it started. */
function inside(script: string): Abuse['begin'] {
  return async ({ sandbox }) => {
    await sandbox.files.write('/tmp/abuse.sh', `echo $$ >/tmp/abuse.pid\n${script}\nwait\n`);
    await sandbox.commands.run('setsid sh /tmp/abuse.sh', { background: true, user: 'root', timeoutMs: 0 });
    return async () => {
      await sandbox.commands.run('kill -KILL -- -$(cat /tmp/abuse.pid)', { user: 'root' });
    };
  };
}

const zeros = gzipSync(Buffer.alloc(32 * 1024 * 1024));

async function upload({ api }: Attacker, body: Buffer): Promise<void> {
  const hash = randomBytes(32).toString('hex');
  const { body: address } = await api.call<{ url?: string }>('GET', `/templates/base/files/${hash}`);
  if (address.url) await (await fetch(address.url, { method: 'PUT', body: new Uint8Array(body) })).text();
}

const manyKeys = JSON.stringify({
  templateID: 'base',
  metadata: Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`key${i}`, 'v'])),
});

const megabytes = new Uint8Array(8 * 1024 * 1024);

async function uploadsToVolume({ api }: Attacker): Promise<Stop> {
  const name = `flood-${randomBytes(4).toString('hex')}`;
  const { body } = await api.call<{ volumeID: string; token: string }>('POST', '/volumes', {
    body: { name },
  });
  const url = `${api.access.apiUrl}/volumecontent/${body.volumeID}/file?path=/x&force=true`;
  const stop = repeat(4, async () => {
    const headers = { Authorization: `Bearer ${body.token}`, 'Content-Type': 'application/octet-stream' };
    await (await fetch(url, { method: 'PUT', headers, body: megabytes })).text();
  });
  return async () => {
    await stop();
    await api.call('DELETE', `/volumes/${body.volumeID}`);
  };
}

/** Connections by names that the sandbox may not reach, each of which the gateway reads and decides. */
async function throughGateway(attacker: Attacker): Promise<Stop> {
  const { sandbox } = attacker;
  await sandbox.updateNetwork({ allowOut: ['allowed.test'], denyOut: ['0.0.0.0/0'] });
  await sandbox.files.write('/tmp/connect.py', await readFile(join(PROGRAMS, 'connect.py'), 'utf8'));
  return inside('python3 /tmp/connect.py 203.0.113.7 32 &')(attacker);
}

/** What one team may do to make another wait, one at a time. */
export const ABUSES: readonly Abuse[] = [
  { name: 'uploads of zeros', begin: async (a) => repeat(4, () => upload(a, zeros)) },
  {
    name: 'metadata of 60,000 keys',
    begin: async ({ api }) => repeat(4, () => api.call('POST', '/sandboxes', { raw: manyKeys })),
  },
  {
    name: 'lists',
    begin: async ({ api }) =>
      repeat(16, () => api.call('GET', '/v2/sandboxes?limit=100&state=running,paused')),
  },
  {
    name: 'wrong JSON',
    begin: async ({ api }) => repeat(8, () => api.call('POST', '/sandboxes', { raw: '['.repeat(500_000) })),
  },
  { name: '4,000 connections to the API', begin: atApi({ kind: 'hold', connections: 4_000 }) },
  {
    name: 'pipelined requests to the API',
    begin: atApi({ kind: 'pipeline', connections: 16, path: '/health' }),
  },
  { name: '4,000 connections to the edge', begin: throughEdge({ kind: 'hold', connections: 4_000 }) },
  { name: 'TLS handshakes', begin: throughEdge({ kind: 'handshake', connections: 32 }) },
  { name: 'pipelined requests', begin: throughEdge({ kind: 'pipeline', connections: 64 }) },
  { name: 'one-byte chunks up', begin: throughEdge({ kind: 'trickle', connections: 16 }) },
  { name: 'one-byte chunks down', begin: throughEdge({ kind: 'ask', connections: 16, path: '/chunks' }) },
  { name: 'answers without end', begin: throughEdge({ kind: 'ask', connections: 16, path: '/body' }) },
  {
    name: 'answers that nobody reads',
    begin: throughEdge({ kind: 'stall', connections: 64, path: '/body' }),
  },
  {
    name: '1xx answers without end',
    begin: throughEdge({ kind: 'stall', connections: 16, path: '/interim' }),
  },
  { name: 'heads of 60 kB', begin: throughEdge({ kind: 'ask', connections: 16, path: '/heads' }) },
  { name: 'heads that drip', begin: throughEdge({ kind: 'ask', connections: 64, path: '/drip' }) },
  { name: 'frames of one byte', begin: throughEdge({ kind: 'frames', connections: 16, path: '/frames' }) },
  {
    name: 'output without end',
    begin: async ({ sandbox }) => {
      const command = await sandbox.commands.run('yes', {
        background: true,
        timeoutMs: 0,
        onStdout: () => {},
      });
      return async () => void (await command.kill().catch(() => undefined));
    },
  },
  {
    name: 'builds with output without end',
    begin: async ({ api }) => {
      const options = { apiUrl: api.access.apiUrl, sandboxUrl: api.access.sandboxUrl, apiKey: api.key };
      const template = Template().fromTemplate('base').runCmd('timeout 10 yes; false');
      return repeat(1, () => Template.build(template, `flood-${randomBytes(4).toString('hex')}`, options));
    },
  },
  {
    name: 'forks',
    begin: async ({ api, sandbox }) =>
      repeat(1, async () => {
        const { body } = await api.call<{ sandbox?: { sandboxID: string } }[]>(
          'POST',
          `/sandboxes/${sandbox.sandboxId}/fork`,
          { body: { count: 2, timeout: 60 } },
        );
        await Promise.all(body.map(({ sandbox: fork }) => fork && api.kill(fork.sandboxID)));
      }),
  },
  {
    name: 'pauses and resumes',
    begin: async ({ api }) => {
      const { sandboxID } = await api.create();
      const stop = repeat(1, async () => {
        await api.call('POST', `/sandboxes/${sandboxID}/pause`);
        await api.call('POST', `/sandboxes/${sandboxID}/connect`, { body: { timeout: 300 } });
      });
      return async () => {
        await stop();
        await api.kill(sandboxID);
      };
    },
  },
  {
    name: 'snapshots',
    begin: async ({ api, sandbox }) =>
      repeat(1, async () => {
        const { body } = await api.call<{ snapshotID: string }>(
          'POST',
          `/sandboxes/${sandbox.sandboxId}/snapshots`,
          { body: {} },
        );
        await api.call('DELETE', `/templates/${body.snapshotID.replace(/:.*/, '')}`);
      }),
  },
  { name: 'uploads to a volume', begin: uploadsToVolume },
  {
    name: 'processes without end',
    begin: inside('while :; do for i in 1 2 3 4 5 6 7 8; do /bin/true & done; wait; done'),
  },
  { name: 'computing', begin: inside('for i in 1 2 3 4; do (while :; do :; done) & done') },
  {
    name: 'creates and kills',
    begin: async ({ api }) =>
      repeat(4, async () => {
        const { sandboxID } = await api.create();
        await api.kill(sandboxID);
      }),
  },
  {
    name: 'wrong keys',
    begin: async ({ api }) =>
      repeat(16, () => api.call('GET', '/v2/sandboxes', { key: `e2b_${randomBytes(20).toString('hex')}` })),
  },
  {
    name: 'answers of the API that nobody reads',
    begin: atApi({ kind: 'stall', connections: 64, path: '/openapi.json' }),
  },
  {
    name: 'uploads to a sandbox',
    begin: async ({ sandbox }) => repeat(4, () => sandbox.files.write('/tmp/upload', megabytes.buffer)),
  },
  {
    name: 'commands that fill the log',
    begin: async ({ sandbox }) =>
      repeat(8, () =>
        sandbox.commands.run('yes "a line of the log" | head -c 300000', { timeoutMs: 20_000 }),
      ),
  },
  { name: 'connections that the gateway denies', begin: throughGateway },
  { name: 'DNS', begin: inside('for i in 1 2 3 4; do (while :; do getent hosts x.invalid; done) & done') },
];
