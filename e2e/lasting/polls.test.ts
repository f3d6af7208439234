import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { until } from '../setup/until.ts';
import { startPoller, TOLD_RIGHT, tellRestored, untilWaiting, whatItWasTold } from './poller.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create('base', connection);
});
afterAll(() => sandbox?.kill());

describe('a program that waits for many files', () => {
  // The runtime keeps what was waited for among what it saves, also if the files are closed: see decisions/0017.
  it('is told nothing of files that it closed before it was saved', async () => {
    await startPoller(sandbox);
    for (const times of [1, 2] as const) {
      await untilWaiting(sandbox, times);
      await sandbox.pause();
      await Sandbox.connect(sandbox.sandboxId, connection);
      await tellRestored(sandbox, times);
    }
    expect(await whatItWasTold(sandbox)).toBe(TOLD_RIGHT);
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
