import { type Route, RouteTable, type WakeOutcome } from '@islet/catalog';
import { beforeEach, expect, it } from 'vitest';
import { sandboxRoute } from '../../test/edge.ts';
import { gateWakes } from './wake-gate.ts';

const route = (state: Route['state'], trafficAccessToken?: string) =>
  sandboxRoute('10.0.0.1', {
    ...{ sandboxId: 'ia', state, wakes: true },
    ...(trafficAccessToken === undefined ? {} : { trafficAccessToken }),
  });

const put = (put: Route) => routes.changed({ kind: 'put', route: put });

const withToken = (trafficAccessToken?: string) => ({
  port: 80,
  envdAccessToken: undefined,
  trafficAccessToken,
});

let routes: RouteTable;
let asked: number;
let outcome: WakeOutcome;
let gate: ReturnType<typeof gateWakes>;
beforeEach(() => {
  routes = new RouteTable(Date.now);
  asked = 0;
  outcome = { kind: 'resumed', route: route('running') };
  const wake = async () => {
    asked++;
    return outcome;
  };
  gate = gateWakes({ routes, wake });
});

it('asks nobody about a sandbox that is unknown, runs, or wants other credentials', async () => {
  expect(await gate('ia', withToken())).toEqual({ kind: 'not-found' });
  put(route('running'));
  expect(await gate('ia', withToken())).toMatchObject({ kind: 'resumed' });
  put(route('paused', 'right'));
  expect(await gate('ia', withToken())).toEqual({ kind: 'refused' });
  expect(await gate('ia', withToken('wrong'))).toEqual({ kind: 'refused' });
  expect(asked).toBe(0);
  expect(await gate('ia', withToken('right'))).toBe(outcome);
  expect(asked).toBe(1);
});

it('asks once for all that wait', async () => {
  put(route('paused'));
  const answers = await Promise.all(Array.from({ length: 50 }, () => gate('ia', withToken())));
  expect(answers).toEqual(Array(50).fill(outcome));
  expect(asked).toBe(1);
});

it('has whoever asks after a refusal wait, and asks anew for them', async () => {
  put(route('paused'));
  outcome = { kind: 'limit-reached', message: 'too many' };
  const began = performance.now();
  expect(await gate('ia', withToken())).toBe(outcome);
  const refused = outcome;
  const again = Array.from({ length: 50 }, () => gate('ia', withToken()));
  expect(await Promise.all(again)).toEqual(Array(50).fill(refused));
  expect(asked).toBe(2);
  // Timers are up to a millisecond early.
  expect(performance.now() - began).toBeGreaterThan(245);
  outcome = { kind: 'resumed', route: route('running') };
  expect(await gate('ia', withToken())).toBe(outcome);
});
