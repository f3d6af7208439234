import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { withForeignCalls } from './foreign-calls.ts';

const [MMAP, MUNMAP, GETPID] = [9, 11, 39];
const [READ_WRITE, PRIVATE_ANONYMOUS, PRIVATE_ANONYMOUS_FIXED] = [3n, 0x22n, 0x32n];
const OPEN = 2;

// Needs root. The processes are children of a shell: see `withForeignCalls`.
it('has a process that waits make other calls, and it waits on as before', async () => {
  const script = 'exec 3<&0; cat <&3 & echo $!; wait $!';
  const cat = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const pid = Number((await once(cat.stdout, 'data'))[0]);
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

it('ends a process that does not come back from its calls', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'islet-calls-'));
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  const shell = spawn('sh', ['-c', 'sleep 1000 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(shell, 'exit');
  const pid = Number((await once(shell.stdout, 'data'))[0]);
  await expect.poll(() => readFile(`/proc/${pid}/comm`, 'utf8')).toBe('sleep\n');
  const openPipe = withForeignCalls(
    pid,
    ({ call, scratch }) => {
      scratch.put(join(dir, 'pipe'));
      return call('open', OPEN, scratch.address, 0n);
    },
    50,
  );
  await expect(openPipe).rejects.toThrow(/was not back from its calls within 50 ms, and was killed/);
  await ended;
  await rm(dir, { recursive: true });
});
