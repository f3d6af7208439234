import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ControlPlane, type ListedBody } from '../setup/control-plane.ts';
import type { Footprint } from '../setup/footprint.ts';
import {
  type InstanceAccess,
  newDataDir,
  type RunningInstance,
  removeDataDir,
  startInstance,
} from '../setup/instance.ts';
import { expectSettlesTo, settledFootprint } from '../setup/settle.ts';
import { Client, type Operation } from './client.ts';
import { Random } from './random.ts';
import { untilNoStrays } from './strays.ts';
import { holdsInOrder, LOG, type Span, statesWithin, type Told } from './told.ts';

const KILLS = Number(process.env.ISLET_CHAOS_KILLS ?? 4);
const SEED = Number(process.env.ISLET_CHAOS_SEED ?? randomInt(2 ** 31));
const CLIENTS = 4;
/** One sandbox is kept ready whatever the demand, so that things can be counted. */
const OPTIONS = ['--warm-memory', '100'];
const MOST_READY = 1;
/** A kill in the middle of an operation comes so long after its beginning, ms: a pause takes up to 3 s. */
const AIMED: Readonly<Record<Operation, number>> = {
  create: 150,
  write: 20,
  run: 40,
  pause: 3_500,
  resume: 400,
  kill: 100,
  setTimeout: 10,
};
const LONGEST_WAIT_MS = 4_000;
/** How long a start may take before it is killed too. */
const START_MS = 1_500;

const random = new Random(SEED);
let dataDir: string;
let islet: RunningInstance;
let empty: Footprint;
let isOver = false;
/** Hears of each operation that begins. */
let onBegin: (operation: Operation) => void = () => undefined;
const clients = Array.from(
  { length: CLIENTS },
  () =>
    new Client({
      random: random.fork(),
      onBegin: (operation) => onBegin(operation),
      isOver: () => isOver,
    }),
);
const everyone = (): Told[] => clients.flatMap(({ told }) => told);

beforeAll(async () => {
  dataDir = await newDataDir();
  islet = await startInstance(dataDir, OPTIONS);
  empty = await settledFootprint(islet.access);
});
afterAll(async () => {
  await islet?.stop('SIGTERM');
  await removeDataDir(dataDir);
});

it(`loses nothing and leaves nothing over ${KILLS} kills at random moments`, {
  timeout: 60_000 + KILLS * 60_000,
}, async () => {
  for (let round = 1; round <= KILLS; round++) {
    const moment = await killAtWork(islet);
    const startsKilled = await startAgain();
    const context = `ISLET_CHAOS_SEED=${SEED}, round ${round}, killed ${moment}, ${startsKilled} starts killed`;
    try {
      await expectAsTold(islet.access);
    } catch (error) {
      throw new Error(`${context}: ${(error as Error).message}\n${islet.log()}`, { cause: error });
    }
    if (KILLS > 10) process.stdout.write(`${round}/${KILLS} ${moment}, ${everyone().length} sandboxes\n`);
  }
  await Promise.all(everyone().map(({ id }) => Sandbox.kill(id, islet.access)));
  await expectSettlesTo(
    { ...empty, descriptors: (await settledFootprint(islet.access)).descriptors },
    islet.access,
  );
});

/** Lets the clients work and kills Islet; says when. */
async function killAtWork({ access, ended }: RunningInstance): Promise<string> {
  isOver = false;
  const work = Promise.all(clients.map((client) => client.work(access)));
  const moment = await Promise.race([someMoment(), work.then(() => 'never')]);
  isOver = true;
  process.kill(access.pid, 'SIGKILL');
  expect(await ended).toBeNull();
  await work;
  return moment;
}

/** Waits for a random time, or for somewhere within an operation of a random kind. */
async function someMoment(): Promise<string> {
  const operation = random.pick(Object.keys(AIMED) as Operation[]);
  const delay = random.integer(0, AIMED[operation]);
  const longest = random.integer(0, LONGEST_WAIT_MS);
  if (random.chance(0.3)) {
    await sleep(longest);
    return `after ${longest} ms`;
  }
  await sleep(random.integer(0, 1_000));
  const began = new Promise<void>((resolve) => {
    onBegin = (begun) => begun === operation && resolve();
  });
  await Promise.race([began, sleep(LONGEST_WAIT_MS)]);
  onBegin = () => undefined;
  await sleep(delay);
  return `${delay} ms into ${operation}`;
}

/** Starts Islet on what the killed one left; now and then that start is killed too. */
async function startAgain(): Promise<number> {
  let killed = 0;
  while (random.chance(0.25)) {
    const cut = new AbortController();
    const start = startInstance(dataDir, OPTIONS, { signal: cut.signal, abandonWith: 'SIGKILL' });
    const timer = setTimeout(() => cut.abort(), random.integer(100, START_MS));
    const outcome = await start.catch(() => undefined);
    clearTimeout(timer);
    if (outcome) await outcome.stop('SIGKILL');
    killed++;
  }
  islet = await startInstance(dataDir, OPTIONS);
  return killed;
}

async function expectAsTold(access: InstanceAccess): Promise<void> {
  const api = new ControlPlane(access);
  const from = Date.now();
  const listed = await listAll(api);
  const span = { from, to: Date.now() };
  const strangers = new Set(listed.keys());
  for (const told of everyone()) strangers.delete(told.id);
  const unanswered = clients.reduce((sum, client) => sum + client.unanswered, 0);
  expect(strangers.size, `of nobody: ${[...strangers]}`).toBeLessThanOrEqual(unanswered);
  // Created for a client that got no answer: it is whole, and can be killed.
  for (const id of strangers) {
    if (listed.get(id)?.state === 'running') await expectServing(api, id);
    await api.kill(id);
  }
  for (const told of everyone()) expectState(told, listed.get(told.id), span);
  await Promise.all(
    everyone().map(async (told) => {
      const { id, states } = told;
      const before = [...states].join(' or ');
      await expectContent(told, access).catch((error) => {
        throw new Error(`${id}, found ${before}: ${(error as Error).message}`, { cause: error });
      });
    }),
  );
  for (const client of clients) {
    client.unanswered = 0;
    client.told.splice(0, client.told.length, ...client.told.filter(({ states }) => !states.has('gone')));
  }
  await untilNoStrays(api, MOST_READY);
}

/** It serves, unless its time came to an end since it was listed. */
async function expectServing(api: ControlPlane, id: string): Promise<void> {
  const { status } = await api.edge(id, 49983, '/health');
  if (status !== 204) expect((await api.get(id)).body.state, `${id} answered ${status}`).not.toBe('running');
}

async function listAll(api: ControlPlane): Promise<Map<string, ListedBody>> {
  const { status, body, headers } = await api.call<ListedBody[]>('GET', '/v2/sandboxes?limit=100');
  expect([status, headers['x-next-token']], 'one page').toEqual([200, undefined]);
  return new Map(body.map((row) => [row.sandboxID, row]));
}

/** From here on it is known in which state it is. */
function expectState(told: Told, listed: ListedBody | undefined, span: Span): void {
  const state = (listed?.state ?? 'gone') as 'running' | 'paused' | 'gone';
  const possible = statesWithin(told, span);
  expect([...possible], `state of ${told.id}`).toContain(state);
  if (listed && state === 'running') {
    const end = Date.parse(listed.endAt);
    expect(end, `end of ${told.id}`).toBeGreaterThanOrEqual(told.endsAt.from - 1);
    expect(end, `end of ${told.id}`).toBeLessThanOrEqual(told.endsAt.to + 1);
  }
  told.states = new Set([state]);
}

/** What was acknowledged is there; paused ones are woken for the look now and then, always those of a short life. */
async function expectContent(told: Told, access: InstanceAccess): Promise<void> {
  told.sandbox = undefined;
  if (told.states.has('gone')) return;
  const isPaused = told.states.has('paused');
  if (told.isShort && !isPaused) return; // its time goes on
  if (isPaused && !told.isShort && random.chance(0.5)) return;
  const timeoutMs = 1_800_000;
  const sandbox = await Sandbox.connect(told.id, { ...access, timeoutMs: isPaused ? timeoutMs : 1_000 });
  if (isPaused) told.endsAt = { from: Date.now() + timeoutMs - 60_000, to: Date.now() + timeoutMs };
  told.states = new Set(['running']);
  told.isShort = false;
  told.sandbox = sandbox;
  for (const [path, content] of told.files) {
    expect((await sandbox.files.read(path)) === content, `${path} of ${told.id}`).toBe(true);
  }
  if (told.lines.length > 0) {
    expect(holdsInOrder(await sandbox.files.read(LOG), told.lines), `lines of ${told.id}`).toBe(true);
  }
  const pids = (await sandbox.commands.list()).map(({ pid }) => pid);
  if (told.process !== undefined) expect(pids, `processes of ${told.id}`).toContain(told.process);
  expect((await sandbox.commands.run('echo works')).stdout).toBe('works\n');
}
