import { expect, it } from 'vitest';
import { withinDiskLimit } from './disk-limit.ts';

const never = new AbortController().signal;
const limit = (usage: number) => ({
  dir: '/folder',
  roomBytes: 10,
  diskUsage: async () => usage,
  error: () => new Error('too much'),
});
const until = (signal: AbortSignal) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('ended'))));

it('ends work that takes too much', async () => {
  await expect(withinDiskLimit(limit(11), never, until)).rejects.toThrow('too much');
});

it('finds out at the end about work that was too quick', async () => {
  await expect(withinDiskLimit(limit(11), never, async () => 'done')).rejects.toThrow('too much');
  expect(await withinDiskLimit(limit(10), never, async () => 'done')).toBe('done');
});

it('passes on why work ended otherwise', async () => {
  const stopped = AbortSignal.abort(new Error('cancelled'));
  const failing = () => Promise.reject(new Error('its own'));
  await expect(withinDiskLimit(limit(0), stopped, failing)).rejects.toThrow('cancelled');
  await expect(withinDiskLimit(limit(0), never, failing)).rejects.toThrow('its own');
});
