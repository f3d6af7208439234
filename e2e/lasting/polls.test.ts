import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { until } from '../setup/until.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create('base', connection);
});
afterAll(() => sandbox?.kill());

/**
 * Waits for pipes with epoll, and says what it is told after a first and a second time that it was saved and restored. In
 * between, it closes all but one of the pipes.
 */
const POLLER = `
import os, select, time

def until_restored(times):
    open('/tmp/waiting-for', 'w').write(str(times))
    while not os.path.exists(f'/tmp/restored-{times}'):
        time.sleep(0.02)

poll = select.epoll()
pipes = [os.pipe() for _ in range(6)]
for reader, _ in pipes:
    poll.register(reader, select.EPOLLIN)
until_restored(1)
told = [poll.poll(0)]
for reader, writer in pipes[1:]:
    os.close(writer)
    poll.unregister(reader)
    os.close(reader)
until_restored(2)
told.append(poll.poll(0))
os.write(pipes[0][1], b'x')
told.append([fd == pipes[0][0] for fd, _ in poll.poll(0)])
open('/tmp/told', 'w').write(repr(told))
`;

describe('a program that waits for many files', () => {
  // The runtime keeps what was waited for among what it saves, also where the files are closed: see decisions/0017.
  it('is told nothing of files that it closed before it was saved', async () => {
    await sandbox.files.write('/tmp/poller.py', POLLER);
    await sandbox.commands.run('python3 /tmp/poller.py', { background: true, timeoutMs: 0 });
    for (const times of ['1', '2']) {
      await until(
        `it waits for restore ${times}`,
        10_000,
        () => sandbox.files.read('/tmp/waiting-for').catch(() => ''),
        (waitingFor) => waitingFor === times,
      );
      await sandbox.pause();
      await Sandbox.connect(sandbox.sandboxId, connection);
      await sandbox.files.write(`/tmp/restored-${times}`, '');
    }
    const told = await until(
      'it says what it was told',
      10_000,
      () => sandbox.files.read('/tmp/told').catch(() => ''),
      (text) => text !== '',
    );
    expect(told).toBe('[[], [], [True]]');
  });

  it('works on when it is saved and restored without a pause in between', async () => {
    await sandbox.files.write(
      '/tmp/server.js',
      "require('node:http').createServer((_, response) => response.end('ok')).listen(8000, '0.0.0.0');",
    );
    await sandbox.commands.run('node /tmp/server.js', { background: true, timeoutMs: 0 });
    const url = `http://${sandbox.getHost(8000)}/`;
    const ask = async () => (await fetch(url)).text();
    await until('the server answers', 10_000, ask, (text) => text === 'ok');
    for (let round = 0; round < 5; round++) {
      await sandbox.pause();
      await Sandbox.connect(sandbox.sandboxId, connection);
      if (round % 2 === 0) continue;
      expect(await Promise.all([ask(), ask(), ask(), ask()])).toEqual(['ok', 'ok', 'ok', 'ok']);
    }
    const ticks = async () =>
      Number((await sandbox.commands.run("awk '{print $14 + $15}' /proc/1/stat")).stdout);
    // A hundred a second: a daemon that spins uses two hundred in each; one that a busy machine keeps waiting does not in all.
    const inTwoSeconds = async () => {
      const before = await ticks();
      await sandbox.commands.run('sleep 2');
      return (await ticks()) - before;
    };
    await until('the daemon rests', 30_000, inTwoSeconds, (used) => used < 60);
  });
});
