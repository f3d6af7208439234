import type { Route, WakeOutcome } from '@islet/catalog';
import { beforeEach, expect, it } from 'vitest';
import { sandboxRoute } from '../../test/edge.ts';
import { gateWakes } from './wake-gate.ts';

const route = (state: Route['state'], trafficAccessToken?: string) =>
  sandboxRoute('10.0.0.1', {
    ...{ sandboxId: 'ia', state, wakes: true },
    ...(trafficAccessToken === undefined ? {} : { trafficAccessToken }),
  });

const withToken = (trafficAccessToken?: string) => ({
  port: 80,
  envdAccessToken: undefined,
  trafficAccessToken,
});

let asked: number;
let outcome: WakeOutcome;
let gate: ReturnType<typeof gateWakes>;
beforeEach(() => {
  asked = 0;
  outcome = { kind: 'resumed', route: route('running') };
  const wake = async () => {
    asked++;
    return outcome;
  };
  gate = gateWakes(wake);
});

it('asks nobody about a sandbox that is on its way out, wakes for nobody, or wants other credentials', async () => {
  expect(await gate(route('killing'), withToken())).toEqual({ kind: 'not-found' });
  expect(await gate({ ...route('paused'), wakes: false }, withToken())).toEqual({ kind: 'not-found' });
  const guarded = route('paused', 'right');
  expect(await gate(guarded, withToken())).toEqual({ kind: 'refused' });
  expect(await gate(guarded, withToken('wrong'))).toEqual({ kind: 'refused' });
  expect(asked).toBe(0);
  expect(await gate(guarded, withToken('right'))).toBe(outcome);
  expect(asked).toBe(1);
});

it('asks once for all that wait', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => gate(route('paused'), withToken())));
  expect(answers).toEqual(Array(50).fill(outcome));
  expect(asked).toBe(1);
});

it('has whoever asks after a refusal wait, and asks anew for them', async () => {
  outcome = { kind: 'limit-reached', message: 'too many' };
  const began = performance.now();
  expect(await gate(route('paused'), withToken())).toBe(outcome);
  const refused = outcome;
  const again = Array.from({ length: 50 }, () => gate(route('paused'), withToken()));
  expect(await Promise.all(again)).toEqual(Array(50).fill(refused));
  expect(asked).toBe(2);
  // Timers are up to a millisecond early.
  expect(performance.now() - began).toBeGreaterThan(245);
  outcome = { kind: 'resumed', route: route('running') };
  expect(await gate(route('paused'), withToken())).toBe(outcome);
});
