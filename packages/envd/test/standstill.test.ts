import { setTimeout as sleep } from 'node:timers/promises';
import { TimeoutError } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.init({ defaultUser: 'root' });
});
afterAll(() => daemon?.stop());

const unfreeze = (body: unknown) =>
  fetch(`${daemon.url}/unfreeze`, { method: 'POST', body: JSON.stringify(body) });
const isAlive = async (pid: number) =>
  (await daemon.sandbox.commands.list()).some((process) => process.pid === pid);

/** Stops the daemon, and with it the machine's life, for so long; says when. */
async function standStill(ms: number): Promise<{ from: number; to: number }> {
  const from = Date.now();
  process.kill(daemon.pid, 'SIGSTOP');
  await sleep(ms);
  process.kill(daemon.pid, 'SIGCONT');
  return { from, to: Date.now() };
}

/** Starts a command with a deadline. On a busy machine much of that may pass before it runs: then another one is started. */
async function startBefore(timeoutMs: number) {
  for (;;) {
    const startedAt = performance.now();
    try {
      const command = await daemon.sandbox.commands.run('sleep 1000', { background: true, timeoutMs });
      if (performance.now() - startedAt < timeoutMs / 2) return { command, startedAt };
      await command.kill();
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
    }
  }
}

describe('a command with a deadline', () => {
  it.each([
    ['/unfreeze', (stood: object) => unfreeze(stood)],
    ['/init', (stood: object) => daemon.init({ stoodStill: stood })],
  ])('does not live shorter for a standstill that %s tells of', async (_, tell) => {
    const { command, startedAt } = await startBefore(4_000);
    command.wait().catch(() => undefined);
    const stood = await standStill(4_300);
    expect((await tell(stood)).status).toBe(204);
    expect(await isAlive(command.pid)).toBe(true);
    await eventually(async () => !(await isAlive(command.pid)), 'its end');
    expect(performance.now() - startedAt).toBeGreaterThan(8_300);
  });

  it('is over all the same if nobody tells of one', async () => {
    const { command } = await startBefore(1_000);
    await expect(command.wait()).rejects.toBeInstanceOf(TimeoutError);
    await eventually(async () => !(await isAlive(command.pid)), 'its end');
  });
});

it.each([
  ['nothing', {}],
  ['no object', []],
  ['an end before its beginning', { from: 2, to: 1 }],
  ['a time that is none', { from: '1', to: 2 }],
])('refuses a standstill of %s', async (_, body) => {
  expect((await unfreeze(body)).status).toBe(400);
  expect((await daemon.init({ stoodStill: body })).status).toBe(400);
});
