import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ProcessRef, refProcess } from '@islet/host';
import { afterAll, expect, it } from 'vitest';
import { SentryTimers, SLACK_NS } from './timers.ts';

/** Spins while it has been told to. */
const PROGRAM = `
let spinning = false;
process.stdin.on('data', (text) => { spinning = String(text).includes('spin'); if (spinning) spin(); });
function spin() { const end = Date.now() + 50; while (Date.now() < end); if (spinning) setImmediate(spin); }
process.stdout.write('up');
`;
const child = spawn(process.execPath, ['-e', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
afterAll(() => {
  child.kill('SIGKILL');
});

it('lets a process be late while it rests, and on time while it works', async () => {
  await once(child.stdout, 'data');
  const ref = refProcess(child.pid as number) as ProcessRef;
  const slack = () => Number(readFileSync(`/proc/${ref.pid}/timerslack_ns`, 'utf8'));
  const timers = new SentryTimers();
  expect(slack()).toBe(SLACK_NS.busy);
  // Nobody else counts: it goes by what the process says of itself.
  timers.add('one', { ref, usedMs: () => undefined });
  expect(slack()).toBe(SLACK_NS.busy);
  timers.expect('one', false);
  await expect.poll(slack).toBe(SLACK_NS.still);
  timers.expect('one', true);
  expect(slack()).toBe(SLACK_NS.busy);
  await expect.poll(slack).toBe(SLACK_NS.idle);
  child.stdin.write('spin');
  await expect.poll(slack).toBe(SLACK_NS.busy);
  child.stdin.write('rest');
  await expect.poll(slack).toBe(SLACK_NS.idle);
  timers.close();
});
