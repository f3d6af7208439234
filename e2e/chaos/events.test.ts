import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ControlPlane } from '../setup/control-plane.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { Random } from './random.ts';

/** The short form; `npm run test:events` goes on for ten minutes. */
const SECONDS = Number(process.env.ISLET_EVENTS_SECONDS ?? 12);
const SEED = Number(process.env.ISLET_CHAOS_SEED ?? randomInt(2 ** 31));
const CLIENTS = 3;
/** Between two kills so many changes are acknowledged, and one or some more are under way. */
const CHANGES_BETWEEN_KILLS = 5;
const AFTER_THEM_MS = 1_500;
const OPTIONS = ['--warm-memory', '100'];

interface EventBody {
  id: string;
  type: string;
}

type Change = 'created' | 'paused' | 'resumed' | 'killed';

/** A sandbox, and what was acknowledged of it. */
interface Life {
  id: string;
  acknowledged: Change[];
}

const random = new Random(SEED);
let dataDir: string;
let islet: RunningInstance;
let isOver = false;
const lives: Life[] = [];

beforeAll(async () => {
  dataDir = await newDataDir();
  islet = await startInstance(dataDir, OPTIONS);
});
afterAll(async () => {
  await islet?.stop('SIGTERM');
  await removeDataDir(dataDir);
});

it(`has an event of every acknowledged change, once, over kills of Islet for ${SECONDS} s`, {
  timeout: 300_000 + SECONDS * 4_000,
}, async () => {
  const witness = await liveAndEnd();
  const endMs = Date.now() + SECONDS * 1_000;
  let kills = 0;
  do {
    isOver = false;
    const work = Promise.all(Array.from({ length: CLIENTS }, () => workUntilKilled()));
    const before = acknowledged();
    await until(
      'changes are acknowledged',
      60_000,
      async () => acknowledged(),
      (changes) => changes >= before + CHANGES_BETWEEN_KILLS,
    );
    await sleep(random.integer(0, AFTER_THEM_MS));
    isOver = true;
    process.kill(islet.pid, 'SIGKILL');
    await islet.ended;
    await work;
    kills++;
    islet = await startInstance(dataDir, OPTIONS);
  } while (Date.now() < endMs);
  const api = new ControlPlane(islet.access);
  for (const life of lives) {
    const { status } = await api.call('DELETE', `/sandboxes/${life.id}`);
    if (status === 204) life.acknowledged.push('killed');
  }
  let events = 0;
  for (const life of lives) events += await expectEachOnce(api, life);
  await expectKept(api, witness);
  process.stdout.write(
    `${kills} kills, ${lives.length} sandboxes, ${acknowledged()} acknowledged changes, ${events} events\n`,
  );
});

/** Changes that were acknowledged so far, of all sandboxes. */
function acknowledged(): number {
  return lives.reduce((sum, life) => sum + life.acknowledged.length, 0);
}

/** Changes sandboxes until an answer stays away. */
async function workUntilKilled(): Promise<void> {
  const { access } = islet;
  let life: Life | undefined;
  let isPaused = false;
  while (!isOver) {
    try {
      if (!life) {
        const { sandboxId: id } = await Sandbox.create('base', { ...access, timeoutMs: 1_800_000 });
        life = { id, acknowledged: ['created'] };
        lives.push(life);
      } else if (isPaused) {
        await Sandbox.connect(life.id, { ...access, timeoutMs: 1_800_000 });
        life.acknowledged.push('resumed');
        isPaused = false;
      } else if (random.chance(0.4)) {
        await Sandbox.pause(life.id, access);
        life.acknowledged.push('paused');
        isPaused = true;
      } else {
        await Sandbox.kill(life.id, access);
        life.acknowledged.push('killed');
        life = undefined;
      }
    } catch (error) {
      if (!isOver) throw error;
    }
  }
}

/** A sandbox's events are those acknowledged, what no answer came to among them, and nothing that could not have been. */
async function expectEachOnce(api: ControlPlane, { id, acknowledged }: Life): Promise<number> {
  const { status, body } = await api.call<EventBody[]>(
    'GET',
    `/events/sandboxes/${id}?limit=100&orderAsc=true`,
  );
  expect(status).toBe(200);
  expect(new Set(body.map((event) => event.id)).size).toBe(body.length);
  const types = body.map(({ type }) => type.replace('sandbox.lifecycle.', ''));
  const context = `ISLET_CHAOS_SEED=${SEED}, ${id}: acknowledged ${acknowledged}, told ${types}`;
  expect(types.join(' '), context).toMatch(/^created( paused resumed)*( paused)? killed$/);
  for (const change of ['created', 'paused', 'resumed', 'killed'] as const) {
    const told = types.filter((type) => type === change).length;
    expect(told, context).toBeGreaterThanOrEqual(acknowledged.filter((each) => each === change).length);
  }
  // At most one change of a sandbox was under way when Islet was killed, and one more ends it if it was lost.
  expect(types.length, context).toBeLessThanOrEqual(acknowledged.length + 2);
  return body.length;
}

interface Past {
  id: string;
  metrics: unknown[];
  logs: unknown[];
}

interface Witness extends Past {
  /** The most sandboxes that its team had at once by then. */
  peak: number;
}

async function pastOf(api: ControlPlane, id: string): Promise<Past> {
  const metrics = await api.call<unknown[]>('GET', `/sandboxes/${id}/metrics`);
  const logs = await api.call<{ logs: unknown[] }>('GET', `/v2/sandboxes/${id}/logs`);
  return { id, metrics: metrics.body, logs: logs.body.logs };
}

/** A sandbox that has been measured, has said something, and is killed: what is kept of it. */
async function liveAndEnd(): Promise<Witness> {
  const api = new ControlPlane(islet.access);
  const sandbox = await Sandbox.create('base', { ...islet.access, timeoutMs: 1_800_000 });
  await sandbox.commands.run('true');
  const id = sandbox.sandboxId;
  await expect.poll(async () => (await pastOf(api, id)).metrics.length, { interval: 500 }).toBeGreaterThan(0);
  const peak = await peakOf(api);
  expect(peak).toBeGreaterThan(0);
  await sandbox.kill();
  const past = await pastOf(api, id);
  expect(past.logs.length).toBeGreaterThan(2);
  return { ...past, peak };
}

/** Islet was killed since then. */
async function expectKept(api: ControlPlane, { peak, ...past }: Witness): Promise<void> {
  expect(await pastOf(api, past.id)).toEqual(past);
  expect(await peakOf(api)).toBeGreaterThanOrEqual(peak);
}

async function peakOf(api: ControlPlane): Promise<number> {
  const { body: teams } = await api.call<{ teamID: string }[]>('GET', '/teams', {
    key: null,
    headers: { Authorization: `Bearer ${islet.access.accessToken}` },
  });
  const { body } = await api.call<{ value: number }>(
    'GET',
    `/teams/${teams[0]?.teamID}/metrics/max?metric=concurrent_sandboxes`,
  );
  return body.value;
}
