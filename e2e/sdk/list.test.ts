import { randomUUID } from 'node:crypto';
import { Sandbox, type SandboxInfo, type SandboxListOpts } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connection, newSandbox, rejection } from './sandbox.ts';

/** Marks the sandboxes of this file, since others may run beside them. */
const run = randomUUID();
const made: Sandbox[] = [];
beforeAll(async () => {
  for (const index of ['0', '1', '2', '3', '4']) {
    made.push(await newSandbox({ metadata: { run, index, parity: Number(index) % 2 ? 'odd' : 'even' } }));
  }
});
afterAll(() => Promise.all(made.map((sandbox) => sandbox.kill())));

/** Every page of a list. */
async function pages({ query, ...opts }: SandboxListOpts = {}): Promise<SandboxInfo[][]> {
  const paginator = Sandbox.list({
    ...connection,
    ...opts,
    query: { ...query, metadata: { run, ...query?.metadata } },
  });
  const all: SandboxInfo[][] = [];
  while (paginator.hasNext) all.push(await paginator.nextItems());
  return all;
}

const indexes = (infos: SandboxInfo[]) => infos.map(({ metadata }) => metadata.index);

describe('list', () => {
  it('gives the sandboxes with what is known of them, the newest first', async () => {
    const [page = []] = await pages();
    expect(indexes(page)).toEqual(['4', '3', '2', '1', '0']);
    const details = await made[0]?.getInfo();
    expect(page.at(-1)).toMatchObject({
      sandboxId: details?.sandboxId,
      templateId: details?.templateId,
      state: 'running',
      startedAt: details?.startedAt,
      endAt: details?.endAt,
      cpuCount: details?.cpuCount,
      memoryMB: details?.memoryMB,
    });
  });

  it('gives the oldest first if it is asked to', async () => {
    expect(indexes((await pages({ order: 'asc' })).flat())).toEqual(['0', '1', '2', '3', '4']);
    expect(indexes((await pages({ order: 'desc' })).flat())).toEqual(['4', '3', '2', '1', '0']);
  });

  it('comes in pages that hold each sandbox once', async () => {
    const found = await pages({ limit: 2 });
    expect(found.map((page) => page.length)).toEqual([2, 2, 1]);
    expect(indexes(found.flat())).toEqual(['4', '3', '2', '1', '0']);
    expect(indexes((await pages({ limit: 2, order: 'asc' })).flat())).toEqual(['0', '1', '2', '3', '4']);
  });

  it('goes on from a token', async () => {
    const query = { metadata: { run } };
    const first = Sandbox.list({ ...connection, query, limit: 3 });
    await first.nextItems();
    const second = Sandbox.list({ ...connection, query, limit: 3, nextToken: first.nextToken as string });
    expect(indexes(await second.nextItems())).toEqual(['1', '0']);
    expect(second.hasNext).toBe(false);
    await expect(second.nextItems()).rejects.toThrow();
  });

  it('filters by all the metadata asked for', async () => {
    expect(indexes((await pages({ query: { metadata: { parity: 'odd' } } })).flat())).toEqual(['3', '1']);
    expect((await pages({ query: { metadata: { parity: 'odd', index: '0' } } })).flat()).toEqual([]);
  });

  it('filters by state', async () => {
    expect((await pages({ query: { state: ['running'] } })).flat()).toHaveLength(5);
    expect((await pages({ query: { state: ['paused'] } })).flat()).toEqual([]);
    expect((await pages({ query: { state: ['running', 'paused'] } })).flat()).toHaveLength(5);
  });

  it('filters by template, by name and by id', async () => {
    const templateId = (await made[0]?.getInfo())?.templateId as string;
    expect((await pages({ query: { template: 'base' } })).flat()).toHaveLength(5);
    expect((await pages({ query: { template: templateId } })).flat()).toHaveLength(5);
  });

  it('filters by start', async () => {
    const startedAfter = (await made[3]?.getInfo())?.startedAt as Date;
    expect(indexes((await pages({ query: { startedAfter } })).flat())).toEqual(['4', '3']);
  });

  it('leaves out what was killed', async () => {
    const extra = await newSandbox({ metadata: { run, index: 'extra' } });
    expect(indexes((await pages()).flat())).toContain('extra');
    await extra.kill();
    expect(indexes((await pages()).flat())).not.toContain('extra');
  });

  it('refuses a token that is none, and a limit out of bounds', async () => {
    const bad = Sandbox.list({ ...connection, nextToken: 'nonsense' });
    expect(await rejection(bad.nextItems())).toBeInstanceOf(Error);
    expect(await rejection(Sandbox.list({ ...connection, limit: -1 }).nextItems())).toBeInstanceOf(Error);
  });
});
