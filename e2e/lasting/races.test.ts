import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, inject, it } from 'vitest';
import { Random } from '../chaos/random.ts';
import { ControlPlane } from '../setup/control-plane.ts';
import { until } from '../setup/until.ts';

const api = new ControlPlane(inject('islet'));
afterAll(() => api[Symbol.asyncDispose]());

const SEED = Number(process.env.ISLET_CHAOS_SEED ?? 1);
const LIFE_S = 600;

type State = 'running' | 'paused' | 'gone';

interface Answer {
  status: number;
  message: string | undefined;
}

/** Each as a client of the API makes it. */
const CALLS = {
  pause: (id: string) => api.call('POST', `/sandboxes/${id}/pause`, { body: {} }),
  resume: (id: string) => api.call('POST', `/sandboxes/${id}/resume`, { body: { timeout: LIFE_S } }),
  connect: (id: string) => api.call('POST', `/v2/sandboxes/${id}/connect`, { body: { timeout: LIFE_S } }),
  kill: (id: string) => api.call('DELETE', `/sandboxes/${id}`),
  prolong: (id: string) => api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: LIFE_S } }),
  end: (id: string) => api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 0 } }),
  refresh: (id: string) => api.call('POST', `/sandboxes/${id}/refreshes`, { body: { duration: 60 } }),
  network: (id: string) => api.call('PUT', `/sandboxes/${id}/network`, { body: { denyOut: ['8.8.8.8'] } }),
  get: (id: string) => api.call('GET', `/sandboxes/${id}`),
  /** Traffic to envd, which everybody may ask for its health. */
  traffic: (id: string) => api.edge(id, 49983, '/health'),
} as const;
type Call = keyof typeof CALLS;

async function make(call: Call, id: string): Promise<Answer> {
  const { status, body } = await CALLS[call](id);
  return { status, message: (body as { message?: string } | undefined)?.message };
}

async function sandboxIn(state: State, options: object = {}): Promise<string> {
  const { sandboxID: id } = await api.create({ timeout: LIFE_S, ...options });
  if (state === 'paused') expect((await make('pause', id)).status).toBe(204);
  if (state === 'gone') expect((await make('kill', id)).status).toBe(204);
  return id;
}

async function stateOf(id: string): Promise<State> {
  const { status, body } = await api.get(id);
  return status === 404 ? 'gone' : (body.state as State);
}

/** It is in that state for all who ask, and stays in it. */
async function expectState(id: string, state: State): Promise<void> {
  expect(await stateOf(id)).toBe(state);
  const { body } = await api.call<{ sandboxID: string; state: string }[]>('GET', '/v2/sandboxes');
  expect(body.find(({ sandboxID }) => sandboxID === id)?.state ?? 'gone').toBe(state);
  if (state === 'running') expect((await make('traffic', id)).status).toBe(204);
}

const notFound = (id: string) => `Sandbox "${id}" doesn't exist or you don't have access to it`;

describe('a call to a sandbox that is in another state than it wants', () => {
  interface Row {
    state: State;
    call: Call;
    status: number;
    message?: (id: string) => string;
  }
  const rows: Row[] = [
    {
      state: 'paused',
      call: 'pause',
      status: 409,
      message: (id) => `Error pausing sandbox - sandbox '${id}' is already paused`,
    },
    { state: 'paused', call: 'prolong', status: 404, message: notFound },
    { state: 'paused', call: 'end', status: 404, message: notFound },
    { state: 'paused', call: 'refresh', status: 404, message: notFound },
    { state: 'paused', call: 'network', status: 404, message: notFound },
    { state: 'paused', call: 'traffic', status: 502, message: () => 'The sandbox was not found' },
    { state: 'paused', call: 'get', status: 200 },
    { state: 'running', call: 'resume', status: 409, message: (id) => `Sandbox ${id} is already running` },
    { state: 'running', call: 'connect', status: 200 },
    ...(['pause', 'resume', 'connect', 'kill', 'prolong', 'end', 'refresh', 'network', 'get'] as const).map(
      (call): Row => ({ state: 'gone', call, status: 404, message: notFound }),
    ),
    { state: 'gone', call: 'traffic', status: 502, message: () => 'The sandbox was not found' },
  ];

  describe.each(['running', 'paused', 'gone'] as const)('%s', (state) => {
    let shared: Promise<string> | undefined;
    it.each(rows.filter((row) => row.state === state))(
      '$call: $status',
      async ({ call, status, message }) => {
        shared ??= sandboxIn(state);
        const id = await shared;
        const answer = await make(call, id);
        expect(answer.status).toBe(status);
        if (message) expect(answer.message).toBe(message(id));
        await expectState(id, state);
      },
    );
  });
});

describe('calls of several clients at once', () => {
  interface Race {
    from: State;
    /** Beside the life of the sandbox. */
    options?: object;
    calls: readonly Call[];
    /** What each call may answer. */
    answers: Partial<Record<Call, readonly number[]>>;
    /** The states that it may end in, given what the calls answered, in the order of `calls`. */
    end: (answers: readonly number[]) => readonly State[];
  }
  const only =
    (...states: State[]) =>
    () =>
      states;
  const pausedUnless =
    (index: number, status: number) =>
    (answers: readonly number[]): readonly State[] =>
      answers[index] === status ? ['running'] : ['paused'];
  const races: Race[] = [
    {
      from: 'running',
      calls: ['pause', 'pause', 'pause'],
      // Those that come while it is being paused share the outcome; later ones find it paused.
      answers: { pause: [204, 409] },
      end: (answers) => (answers.includes(204) ? ['paused'] : []),
    },
    {
      from: 'running',
      calls: ['kill', 'kill', 'kill'],
      answers: { kill: [204, 404] },
      end: (answers) => (answers.includes(204) ? ['gone'] : []),
    },
    {
      from: 'running',
      calls: ['pause', 'kill', 'pause'],
      // Killed before it was paused, or after, or after a second pause found it paused.
      answers: { pause: [204, 404, 409], kill: [204] },
      end: only('gone'),
    },
    {
      from: 'running',
      calls: ['pause', 'connect'],
      // It came before the pause and changed nothing, or waited for it.
      answers: { pause: [204], connect: [200, 201] },
      end: pausedUnless(1, 201),
    },
    {
      from: 'running',
      calls: ['pause', 'resume'],
      answers: { pause: [204], resume: [201, 409] },
      end: pausedUnless(1, 201),
    },
    {
      from: 'running',
      calls: ['prolong', 'pause', 'prolong', 'network', 'refresh'],
      answers: {
        pause: [204],
        prolong: [204, 404, 409],
        network: [204, 404, 409],
        refresh: [204, 404, 409],
      },
      end: only('paused'),
    },
    {
      from: 'running',
      calls: ['end', 'pause'],
      answers: { end: [204, 404, 409], pause: [204, 404] },
      end: ([, pause]) => (pause === 204 ? ['paused'] : ['gone']),
    },
    {
      from: 'running',
      options: { autoPause: true },
      calls: ['end', 'pause', 'connect'],
      answers: { end: [204, 404, 409], pause: [204, 409], connect: [200, 201] },
      end: only('running', 'paused'),
    },
    {
      from: 'running',
      options: { autoPause: true, timeout: 1 },
      calls: ['prolong', 'kill'],
      answers: { prolong: [204, 404, 409], kill: [204] },
      end: only('gone'),
    },
    {
      from: 'running',
      options: { autoPause: true, autoResume: { enabled: true } },
      calls: ['pause', 'traffic', 'traffic', 'connect'],
      // A request that is on its way at the pause is cut off.
      answers: { pause: [204], traffic: [204, 502], connect: [200, 201] },
      end: only('running', 'paused'),
    },
    {
      from: 'paused',
      calls: ['resume', 'resume', 'resume'],
      answers: { resume: [201, 409] },
      end: (answers) => (answers.includes(201) ? ['running'] : []),
    },
    {
      from: 'paused',
      calls: ['connect', 'connect', 'resume'],
      answers: { connect: [200, 201], resume: [201, 409] },
      end: (answers) => (answers.includes(201) ? ['running'] : []),
    },
    {
      from: 'paused',
      calls: ['resume', 'kill', 'connect'],
      answers: { resume: [201, 404, 409], kill: [204], connect: [200, 201, 404, 409] },
      end: only('gone'),
    },
    {
      from: 'paused',
      calls: ['kill', 'kill'],
      answers: { kill: [204, 404] },
      end: (answers) => (answers.includes(204) ? ['gone'] : []),
    },
    {
      from: 'paused',
      calls: ['connect', 'pause'],
      answers: { connect: [200, 201], pause: [204, 409] },
      end: ([, pause]) => (pause === 204 ? ['paused'] : ['running']),
    },
    {
      from: 'paused',
      options: { autoPause: true, autoResume: { enabled: true } },
      calls: ['traffic', 'traffic', 'connect', 'resume'],
      answers: { traffic: [204], connect: [200, 201], resume: [201, 409] },
      end: only('running'),
    },
    {
      from: 'paused',
      options: { autoPause: true, autoResume: { enabled: true } },
      calls: ['traffic', 'kill', 'traffic'],
      answers: { traffic: [204, 502], kill: [204] },
      end: only('gone'),
    },
  ];

  /** Later calls come up to so long after the first, ms: together with it, or in the middle of what it does. */
  const SPREADS = [0, 30, 500];
  const table = races.flatMap((race, index) =>
    SPREADS.map((spreadMs) => ({
      ...race,
      spreadMs,
      name: race.calls.join(', '),
      random: new Random(SEED + index),
    })),
  );

  it.concurrent.each(table)('$from: $name within $spreadMs ms', async (race) => {
    const { from, options, calls, answers: allowed, end, spreadMs, random } = race;
    const id = await sandboxIn(from, options);
    const delays = calls.map(() => random.integer(0, spreadMs));
    const answers = await Promise.all(
      calls.map(async (call, index) => {
        await sleep(delays[index]);
        return make(call, id);
      }),
    );
    const seen = calls.map((call, index) => `${call} after ${delays[index]} ms: ${answers[index]?.status}`);
    const context = `seed ${SEED}, ${seen.join(', ')}`;
    for (const [index, call] of calls.entries()) {
      expect(allowed[call], context).toContain(answers[index]?.status);
    }
    const possible = end(answers.map(({ status }) => status));
    // An end that was asked for is not answered with: it comes right after. If both are right, whoever prolongs the life of
    // one that runs knows that it does not end any more.
    const state = await until(
      context,
      15_000,
      async () => {
        const now = await stateOf(id);
        if (now !== 'running' || !possible.includes(now)) return now;
        return (await make('prolong', id)).status === 204 ? now : 'ending';
      },
      (now) => possible.some((each) => each === now),
    );
    await expectState(id, state as State);
    if (state === 'paused') expect((await make('connect', id)).status).toBe(201);
    if (state !== 'gone') {
      expect((await make('traffic', id)).status, context).toBe(204);
      expect((await make('kill', id)).status, context).toBe(204);
    }
  });
});
