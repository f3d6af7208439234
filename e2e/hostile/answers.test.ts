import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { send } from '../setup/http.ts';
import { until } from '../setup/until.ts';
import { attack } from './attack.ts';

const { apiUrl, sandboxUrl, apiKey, pid } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };
const PORT = 8000;
const MIB = 1024 * 1024;
/** What Islet may take more while it is attacked. */
const MOST_MEMORY = 256 * MIB;

let hostile: Sandbox;
let victim: Sandbox;

beforeAll(async () => {
  [hostile, victim] = await Promise.all([
    Sandbox.create('base', connection),
    Sandbox.create('base', connection),
  ]);
  await attack(hostile, 'answers.py', [String(PORT)]);
  await victim.files.write('/tmp/www/page', 'the page of the victim');
  await victim.commands.run(`python3 -m http.server -d /tmp/www ${PORT}`, { background: true, timeoutMs: 0 });
  await until(
    'the attacker serves',
    10_000,
    () => ask(hostile, '/'),
    (text) => text === 'here',
  );
  await untilVictimServes();
});
afterAll(() => Promise.all([hostile?.kill(), victim?.kill()]));

const hostOf = (sandbox: Sandbox) => `${PORT}-${sandbox.sandboxId}.localhost`;

async function ask(sandbox: Sandbox, path: string): Promise<string> {
  const answer = await send({ method: 'GET', url: sandboxUrl + path, headers: { host: hostOf(sandbox) } });
  return answer.text;
}

async function eventsOf({ sandboxId }: Sandbox): Promise<string> {
  const url = `${apiUrl}/events/sandboxes/${sandboxId}`;
  return (await send({ method: 'GET', url, headers: { 'x-api-key': apiKey } })).text;
}

const untilVictimServes = () =>
  until(
    'the victim serves',
    10_000,
    () => ask(victim, '/page'),
    (text) => text === 'the page of the victim',
  );

/** A connection to the edge, on which requests for both sandboxes are sent as a pooling client does. */
function shared(requests: readonly [Sandbox, string][]): {
  socket: Socket;
  text: () => string;
  closed: Promise<void>;
} {
  const { hostname, port } = new URL(sandboxUrl);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  for (const [sandbox, path] of requests)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostOf(sandbox)}\r\n\r\n`);
  return {
    socket,
    text: () => text,
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
  };
}

async function memory(): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

describe('on a connection that two sandboxes share', () => {
  it.each(['/both', '/behind'])('nothing of %s becomes the answer of the other', async (path) => {
    const { socket, text } = shared([
      [hostile, path],
      [victim, '/page'],
    ]);
    await until('both are answered', 10_000, text, (all) => all.includes('the page of the victim'));
    expect(text()).not.toContain('evil');
    expect(text().startsWith(path === '/both' ? 'HTTP/1.1 502 ' : 'HTTP/1.1 200 ')).toBe(true);
    socket.destroy();
  });

  it('what is missing of /short is not made up of the answer of the other', async () => {
    const { text, closed } = shared([
      [hostile, '/short'],
      [victim, '/page'],
    ]);
    await closed;
    expect(text()).not.toContain('the page of the victim');
  });
});

it.each(['/interim', '/head'])('%s without end gets a 502', async (path) => {
  const answer = await send({ method: 'GET', url: sandboxUrl + path, headers: { host: hostOf(hostile) } });
  expect(answer.status).toBe(502);
});

it('floods for clients that read nothing take no memory, and others are served', async () => {
  const before = await memory();
  const floods = ['/body', '/crumbs', '/interim', '/head'].flatMap((path) =>
    Array.from({ length: 2 }, () => shared([[hostile, path]])),
  );
  for (const { socket } of floods) socket.pause();
  const uploads = Array.from({ length: 2 }, () => {
    const { socket } = shared([]);
    socket.write(`POST /deaf HTTP/1.1\r\nHost: ${hostOf(hostile)}\r\nContent-Length: 1000000000\r\n\r\n`);
    const block = Buffer.alloc(MIB);
    const pump = (): void => {
      while (!socket.destroyed) if (!socket.write(block)) return;
    };
    socket.on('drain', pump);
    pump();
    return socket;
  });
  for (let round = 0; round < 5; round++) {
    await untilVictimServes();
    expect((await memory()) - before).toBeLessThan(MOST_MEMORY);
  }
  for (const { socket } of floods) socket.destroy();
  for (const socket of uploads) socket.destroy();
  await until(
    'the attacker serves as before',
    10_000,
    () => ask(hostile, '/'),
    (text) => text === 'here',
  ).catch(async (error: Error) => {
    throw new Error(`${error.message}; what happened to it: ${await eventsOf(hostile)}`, { cause: error });
  });
});
