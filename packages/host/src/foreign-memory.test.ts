import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { withForeignCalls } from './foreign-calls.ts';
import { openForeignMemory } from './foreign-memory.ts';

const PAGE = 4096;
const PAGES = 3000;
const MMAP = 9;
const [READ_WRITE, PRIVATE_ANONYMOUS, NO_FILE] = [3n, 0x22n, BigInt.asUintN(64, -1n)];

let pid: number;
let start: number;
// A child of a shell: see `withForeignCalls`.
const script = 'exec 3<&0; cat <&3 & echo $!; wait $!';
const cat = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
beforeAll(async () => {
  pid = Number((await once(cat.stdout, 'data'))[0]);
  cat.stdin.write('\n');
  await once(cat.stdout, 'data');
  const bytes = BigInt(PAGES * PAGE);
  const map = await withForeignCalls(pid, ({ call }) =>
    call('mmap', MMAP, 0n, bytes, READ_WRITE, PRIVATE_ANONYMOUS, NO_FILE, 0n),
  );
  start = Number(map);
});
afterAll(async () => {
  cat.stdin.end();
  await once(cat, 'exit');
});

// Needs root.
it('puts more pieces into a process than one call takes, and reads them back', () => {
  const memory = openForeignMemory(pid);
  const odd = Array.from({ length: PAGES / 2 }, (_, i) => ({
    address: start + (2 * i + 1) * PAGE,
    bytes: 16,
  }));
  const written = Buffer.concat(odd.map((_, i) => Buffer.alloc(16, i)));
  memory.write(odd, written);
  const read = Buffer.alloc(written.length);
  memory.read(odd, read);
  expect(read.equals(written)).toBe(true);
  const between = Buffer.alloc(16, 1);
  memory.read([{ address: start + 2 * PAGE, bytes: 16 }], between);
  expect(between).toEqual(Buffer.alloc(16));
});

it('says so if a piece is not there', () => {
  const memory = openForeignMemory(pid);
  const beyond = [start, 4096].map((address) => ({ address, bytes: 8 }));
  expect(() => memory.read(beyond, Buffer.alloc(16))).toThrow(/came to 8 of 16 bytes/);
  expect(() => memory.read(beyond.slice(1), Buffer.alloc(8))).toThrow(/EFAULT/);
});
