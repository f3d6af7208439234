import { createLogger } from '@islet/telemetry';
import { beforeEach, expect, it } from 'vitest';
import { CredentialCache } from './credential-cache.ts';

let now: number;
let rows: Map<string, string>;
let reads: string[][];
let failure: Error | undefined;
let gate: Promise<void> | undefined;
let cache: CredentialCache<string>;

beforeEach(() => {
  now = 1000;
  rows = new Map([['h1', 'team-1']]);
  reads = [];
  failure = undefined;
  gate = undefined;
  cache = new CredentialCache<string>({
    async load(hashes) {
      reads.push(hashes);
      const found = hashes.flatMap((hash) => {
        const value = rows.get(hash);
        return value === undefined ? [] : [{ hash, value }];
      });
      await gate;
      if (failure) throw failure;
      return found;
    },
    monotonic: () => now,
    logger: createLogger({ service: 'test', level: 'silent' }),
  });
});

it('asks the database once for many calls at once, and not again while the entry is young', async () => {
  const all = await Promise.all([cache.get('h1'), cache.get('h1'), cache.get('h1')]);
  expect(all.map((hit) => hit?.value)).toEqual(['team-1', 'team-1', 'team-1']);
  now += 4000;
  expect(await cache.get('h1')).toEqual({ value: 'team-1', loaded: false });
  expect(reads).toEqual([['h1']]);
});

it('never serves what was not confirmed within five seconds', async () => {
  await cache.get('h1');
  rows.delete('h1');
  now += 4999;
  expect(await cache.get('h1')).toBeUndefined();
});

it('keeps a used entry young by sweeps, and takes over changed values', async () => {
  await cache.get('h1');
  rows.set('h1', 'team-2');
  for (let i = 0; i < 5; i++) {
    now += 2000;
    await cache.sweep();
    expect(await cache.get('h1')).toEqual({ value: 'team-2', loaded: false });
  }
});

it('drops what a sweep does not find any more', async () => {
  await cache.get('h1');
  rows.delete('h1');
  await cache.sweep();
  expect(await cache.get('h1')).toBeUndefined();
});

it('counts the age from the start of the read, not from its end', async () => {
  let open = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  const first = cache.get('h1');
  rows.delete('h1');
  now += 4600;
  open();
  await first;
  gate = undefined;
  expect(await cache.get('h1')).toBeUndefined();
});

it('does not remember a read that began before the key was dropped', async () => {
  let open = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  const first = cache.get('h1');
  rows.delete('h1');
  cache.drop('h1');
  open();
  await first;
  gate = undefined;
  expect(await cache.get('h1')).toBeUndefined();
});

it('forgets a key that was dropped during a sweep', async () => {
  await cache.get('h1');
  let open = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  const sweep = cache.sweep();
  rows.delete('h1');
  cache.drop('h1');
  open();
  await sweep;
  gate = undefined;
  expect(await cache.get('h1')).toBeUndefined();
});

it('serves on while the database is away for a moment, then says so', async () => {
  await cache.get('h1');
  failure = new Error('connection refused');
  now += 2000;
  await cache.sweep();
  expect((await cache.get('h1'))?.value).toBe('team-1');
  now += 2600;
  await expect(cache.get('h1')).rejects.toMatchObject({ status: 503 });
  failure = undefined;
  expect((await cache.get('h1'))?.value).toBe('team-1');
});

it('forgets entries that nobody uses', async () => {
  await cache.get('h1');
  now += 6 * 60_000;
  await cache.sweep();
  expect(reads).toEqual([['h1']]);
});
