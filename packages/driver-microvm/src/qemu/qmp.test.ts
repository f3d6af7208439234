import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { stop } from './full-disk.ts';
import { Qmp } from './qmp.ts';

let dir: string;
let server: Server;
let qemu: Socket;
/** What is answered to a command. */
let answers: (command: string) => string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-qmp-'));
  answers = () => '{"return": {}}\n';
  server = createServer((socket) => {
    qemu = socket;
    socket.on('error', () => undefined);
    socket.write('{"QMP": {}}\n');
    socket.on('data', (bytes) => {
      for (const line of String(bytes).trim().split('\n')) {
        socket.write(answers((JSON.parse(line) as { execute: string }).execute));
      }
    });
  }).listen(join(dir, 'control'));
  await once(server, 'listening');
});
afterEach(async () => {
  qemu?.destroy();
  server.close();
  await rm(dir, { recursive: true });
});
const connect = (deadlineMs = 10_000) => Qmp.connect(join(dir, 'control'), deadlineMs, () => true);

it.each([
  ['no JSON', 'not JSON\n'],
  ['nothing', 'null\n'],
  ['an answer to nothing', '{"return": {}}\n{"return": {}}\n'],
  ['a message without end', `{"return": "${'x'.repeat(2 * 1024 * 1024)}`],
])('ends a session in which QEMU says %s, and nothing else', async (_, said) => {
  const qmp = await connect();
  answers = (command) => (command === 'query-status' ? said : '');
  await Promise.allSettled([qmp.execute('query-status')]);
  await qmp.closed;
  await expect(qmp.execute('cont')).rejects.toThrow('QEMU does not speak its protocol');
});

it('waits for no answer forever', async () => {
  answers = () => '';
  await expect(connect(20)).rejects.toThrow('QEMU does not answer within 20 ms');
  answers = (command) => (command === 'stop' ? '' : '{"return": {}}\n');
  const qmp = await connect();
  await expect(qmp.execute('stop', undefined, 20)).rejects.toThrow(
    'QEMU does not answer to stop within 20 ms',
  );
  await qmp.closed;
});

it('saves no machine that goes on by itself', async () => {
  // It stood still for want of room, so that `stop` did nothing, and who watches it had it go on before the next question.
  for (const [status, message] of [
    ['io-error', /waits for room/],
    ['running', /waits for room/],
    ['internal-error', /QEMU says 'internal-error'/],
    ['paused', undefined],
  ] as const) {
    const answer = JSON.stringify({ status, running: status === 'running' });
    answers = (command) => `{"return": ${command === 'query-status' ? answer : '{}'}}\n`;
    const qmp = await connect();
    if (message) await expect(stop(qmp)).rejects.toThrow(message);
    else await stop(qmp);
    qmp.close();
    await qmp.closed;
  }
});
