import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { onePerAddressSpace } from './address-spaces.ts';

it('takes threads for one address space, and another process for one of its own', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  try {
    await once(child, 'spawn');
    const threads = (await readdir('/proc/self/task')).map(Number);
    expect(threads.length).toBeGreaterThan(1);
    const pid = child.pid as number;
    expect(onePerAddressSpace([...threads, pid, ...threads])).toEqual([threads[0], pid]);
  } finally {
    child.kill('SIGKILL');
  }
});

it('leaves one that has ended to others', async () => {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  expect(onePerAddressSpace([process.pid, child.pid as number, process.pid])).toEqual([
    process.pid,
    child.pid,
  ]);
});
