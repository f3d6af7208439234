import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { withForeignCalls } from './foreign-calls.ts';

const [MMAP, MUNMAP, GETPID] = [9, 11, 39];
const [READ_WRITE, PRIVATE_ANONYMOUS, PRIVATE_ANONYMOUS_FIXED] = [3n, 0x22n, 0x32n];
const OPEN = 2;

// Needs root, or a kernel that lets a process trace its children.
it('has a process that waits make other calls, and it waits on as before', async () => {
  const cat = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
  const pid = cat.pid as number;
  cat.stdin.write('one\n');
  expect(String((await once(cat.stdout, 'data'))[0])).toBe('one\n');
  const answer = await withForeignCalls(pid, ({ call }) => call('getpid', GETPID));
  expect(Number(answer)).toBe(pid);
  await expect(
    withForeignCalls(pid, ({ call, scratch }) => {
      scratch.put('/nowhere');
      return call('open', OPEN, scratch.address, 0n);
    }),
  ).rejects.toMatchObject({ code: 'ENOENT' });
  // Every second of two thousand pages becomes one of its own, and what failed among them is named.
  const pages = await withForeignCalls(pid, ({ call, callAll }) => {
    const start = call('mmap', MMAP, 0n, 2000n * 4096n, READ_WRITE, PRIVATE_ANONYMOUS, -1n, 0n);
    const each = (i: number, access: bigint) => [start + BigInt(2 * i) * 4096n, 4096n, access];
    const args = [PRIVATE_ANONYMOUS_FIXED, -1n, 0n];
    callAll(
      Array.from({ length: 1000 }, (_, i) => ({ name: 'mmap', call: MMAP, args: [...each(i, 0n), ...args] })),
    );
    const wrong = { name: 'unmapping of nothing', call: MUNMAP, args: [1n, 4096n] };
    expect(() => callAll([{ name: 'getpid', call: GETPID, args: [] }, wrong])).toThrow(
      /unmapping of nothing/,
    );
    return start;
  });
  const areas = (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n').filter((line) => {
    const at = BigInt(`0x${line.split('-')[0] || '0'}`);
    return at >= pages && at < pages + 2000n * 4096n;
  });
  expect(areas).toHaveLength(2000);
  cat.stdin.end('two\n');
  expect(String((await once(cat.stdout, 'data'))[0])).toBe('two\n');
  expect(await once(cat, 'exit')).toEqual([0, null]);
});
