import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { withForeignCalls } from './foreign-calls.ts';

const GETPID = 39;
const OPEN = 2;

// Needs root, or a kernel that lets a process trace its children.
it('has a process that waits make other calls, and it waits on as before', async () => {
  const cat = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
  const pid = cat.pid as number;
  cat.stdin.write('one\n');
  expect(String((await once(cat.stdout, 'data'))[0])).toBe('one\n');
  const answer = await withForeignCalls(pid, (call) => call('getpid', GETPID));
  expect(Number(answer)).toBe(pid);
  await expect(
    withForeignCalls(pid, (call, scratch) => {
      scratch.put('/nowhere');
      return call('open', OPEN, scratch.address, 0n);
    }),
  ).rejects.toMatchObject({ code: 'ENOENT' });
  cat.stdin.end('two\n');
  expect(String((await once(cat.stdout, 'data'))[0])).toBe('two\n');
  expect(await once(cat, 'exit')).toEqual([0, null]);
});
