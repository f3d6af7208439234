import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { runIslet } from '../setup/command.ts';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { Cluster, NODES, type Way } from './whole/cluster.ts';
import { FAULTS } from './whole/faults.ts';
import { breakAtRandom } from './whole/run.ts';

const LIMIT = 5;
const LIFE_MS = 600_000;
const START_MS = 420_000;

const said: string[] = [];
let cluster: Cluster;
let apiKey: string;
/** Through the first API and edge, and through the second. */
let one: Way;
let other: Way;
beforeAll(async () => {
  cluster = await Cluster.start((text) => said.push(text));
  apiKey = await cluster.newTeam('shared', LIMIT);
  one = { ...cluster.way('api-1', 'edge-1'), apiKey };
  other = { ...cluster.way('api-2', 'edge-2'), apiKey };
  for (const way of [one, other]) {
    await until(
      'a sandbox is created',
      60_000,
      () => create(way),
      () => true,
    );
  }
}, START_MS);
// What a test ended that failed then would be missed by all that follow, and what it left would be in their way.
beforeEach(async () => {
  await cluster.runAll();
  await killAll();
}, START_MS);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const create = (through: Way, timeoutMs = LIFE_MS) => Sandbox.create('base', { ...through, timeoutMs });

async function idsAt({ apiUrl }: Way): Promise<string[]> {
  const answer = await fetch(`${apiUrl}/v2/sandboxes`, { headers: { 'X-API-Key': apiKey } });
  return ((await answer.json()) as { sandboxID: string }[]).map(({ sandboxID }) => sandboxID);
}

async function killAll(): Promise<void> {
  for (const id of await idsAt(one)) await Sandbox.kill(id, other);
  expect(await idsAt(one)).toEqual([]);
}

it('answers at each API and edge for what was done through the other', async () => {
  for (let round = 0; round < 2; round++) {
    const [here, there] = round % 2 ? [other, one] : [one, other];
    const sandbox = await create(here);
    const id = sandbox.sandboxId;
    expect(await idsAt(there)).toContain(id);
    const met = await Sandbox.connect(id, there);
    await met.files.write('/home/user/note', `round ${round}`);
    expect(await met.pause()).toBe(true);
    expect(await Sandbox.getInfo(id, here)).toMatchObject({ state: 'paused' });
    const again = await Sandbox.connect(id, here);
    expect(await again.files.read('/home/user/note')).toBe(`round ${round}`);
    expect(await Sandbox.getInfo(id, there)).toMatchObject({ state: 'running' });
    expect(await Sandbox.kill(id, there)).toBe(true);
    await expect(Sandbox.getInfo(id, here)).rejects.toThrow();
    expect(await idsAt(here)).not.toContain(id);
  }
});

it('holds a limit exactly, however many creates race at both', async () => {
  const race = await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      const { apiUrl } = index % 2 ? one : other;
      const headers = { 'X-API-Key': apiKey, 'Content-Type': 'application/json' };
      const body = JSON.stringify({ templateID: 'base', timeout: 600 });
      return (await fetch(`${apiUrl}/sandboxes`, { method: 'POST', headers, body })).status;
    }),
  );
  expect(race.filter((status) => status === 201)).toHaveLength(LIMIT);
  expect(race.filter((status) => status === 429)).toHaveLength(12 - LIMIT);
  await killAll();
});

it('ends a sandbox once when its time is over, and both say so', async () => {
  const { sandboxId } = await create(one, 2_000);
  const events = async ({ apiUrl }: Way) => {
    const answer = await fetch(`${apiUrl}/events/sandboxes/${sandboxId}`, {
      headers: { 'X-API-Key': apiKey },
    });
    return ((await answer.json()) as { type: string }[]).map(({ type }) => type.split('.').at(-1));
  };
  await expect.poll(async () => await events(one)).toContain('killed');
  await expect.poll(async () => await events(other)).toContain('killed');
  for (const at of [one, other]) expect(await events(at)).toEqual(['killed', 'created']);
});

it('goes on when an API and an edge are killed under load', async () => {
  const lasting = await create(one);
  const answers = async (through: Way) =>
    (await (await Sandbox.connect(lasting.sandboxId, through)).commands.run('echo here')).stdout === 'here\n';
  for (const [names, left, back] of [
    [['api-1', 'edge-1'], other, one],
    [['api-2', 'edge-2'], one, other],
  ] as const) {
    let isOver = false;
    const load = Array.from({ length: 2 }, async () => {
      while (!isOver) expect(await answers(left)).toBe(true);
    });
    await Promise.all(names.map((name) => cluster.end(name, 'SIGKILL')));
    const made = await create(left);
    expect((await made.commands.run('echo new')).stdout).toBe('new\n');
    expect(await made.kill()).toBe(true);
    isOver = true;
    await Promise.all(load);
    await Promise.all(names.map((name) => cluster.run(name)));
    await until(`${names} serve again`, 60_000, () => answers(back), Boolean);
  }
  await killAll();
});

it('does not let an API in that has another token seed', async () => {
  const dataDir = await newDataDir();
  const words = ['api', '--advertise', cluster.network.addressOf('api-1'), '--data-dir', dataDir];
  const { databaseUrl, redisUrl } = cluster;
  const servers = ['--database-url', databaseUrl, '--redis-url', redisUrl];
  const { code, stdout, stderr } = await runIslet(
    [...words, ...servers, '--api-port', '0', '--edge-link-port', '0'],
    { through: cluster.network.enter('api-1') },
  );
  await removeDataDir(dataDir);
  expect(code).toBe(1);
  expect(stdout + stderr).toContain('--secrets-dir');
  const seed = await readFile(join(cluster.dataDir('api-1'), 'secrets/token-seed'), 'utf8');
  expect(stdout + stderr).not.toContain(seed.trim());
});

it('says at each API, once, that what ran on a machine without power is lost', async () => {
  const { sandboxId } = await create(one);
  const homes = await Promise.all(
    NODES.map(async (node) => ({ node, all: await cluster.sandboxesOn(node) })),
  );
  const home = homes.find(({ all }) => all.some(({ id }) => id === sandboxId))?.node;
  if (!home) throw new Error(`no node has ${sandboxId}`);
  const ask = async ({ apiUrl }: Way, path: string) =>
    fetch(`${apiUrl}${path}/${sandboxId}`, { headers: { 'X-API-Key': apiKey } });
  const events = async (way: Way) => {
    const told = (await (await ask(way, '/events/sandboxes')).json()) as { id: string; type: string }[];
    return told.map(({ id, type }) => `${type.split('.').at(-1)} ${id}`);
  };
  const atEdge = async ({ sandboxUrl }: Way) => {
    const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': '8000' };
    return (await fetch(sandboxUrl, { headers, signal: AbortSignal.timeout(30_000) })).text();
  };
  // A node that has no power tells nothing more: both have heard of it by then.
  for (const way of [one, other]) await expect.poll(() => events(way), { timeout: 30_000 }).toHaveLength(1);
  await cluster.powerOff(home);
  for (const way of [one, other]) {
    const status = async () => (await ask(way, '/sandboxes')).status;
    await expect.poll(status, { timeout: 60_000 }).toBe(404);
    await expect.poll(() => atEdge(way)).toMatch(/not found/i);
  }
  const ends = await events(one);
  expect(ends).toMatchObject([expect.stringMatching(/^killed /), expect.stringMatching(/^created /)]);
  expect(await events(other)).toEqual(ends);
  await cluster.run(home);
  await until(
    'its node is back',
    60_000,
    () => cluster.sandboxesOn(home),
    ({ length }) => length === 0,
  );
  expect(await events(one)).toEqual(ends);
  await killAll();
});

it('is broken at random only as long as all of it runs: what a node without power has would count as left', async () => {
  const random = () =>
    breakAtRandom(cluster, {
      ...{ seed: 983340503, durationMs: 0, limit: LIMIT, apiKey, say: (text) => said.push(text) },
      ...{ calmOperations: 0, faultsInRound: 0, longestFaultMs: 0, kinds: FAULTS },
      signal: new AbortController().signal,
    });
  await cluster.powerOff('one');
  await expect(random()).rejects.toThrow('one has to run');
  await cluster.runAll();
  expect(cluster.ended).toEqual([]);
});
