import { create } from '@bufbuild/protobuf';
import { type CatalogEntry, createMemoryCatalog, type WakeOutcome } from '@islet/catalog';
import { orchestratorProto } from '@islet/contracts';
import { beforeEach, expect, it } from 'vitest';
import { gateWakes } from './wake-gate.ts';

const { SandboxState } = orchestratorProto;

function entry(state: orchestratorProto.SandboxState, trafficAccessToken?: string): CatalogEntry {
  const config = { sandboxId: 'ia', autoResume: true, ...(trafficAccessToken ? { trafficAccessToken } : {}) };
  return {
    sandbox: create(orchestratorProto.SandboxSchema, { config, state }),
    route: { kind: 'direct' },
  };
}

const withToken = (trafficAccessToken?: string) => ({
  port: 80,
  envdAccessToken: undefined,
  trafficAccessToken,
});

let catalog: ReturnType<typeof createMemoryCatalog>;
let asked: number;
let outcome: WakeOutcome;
let gate: ReturnType<typeof gateWakes>;
beforeEach(() => {
  catalog = createMemoryCatalog();
  asked = 0;
  outcome = { kind: 'resumed', entry: entry(SandboxState.RUNNING) };
  const wake = async () => {
    asked++;
    return outcome;
  };
  gate = gateWakes({ catalog, wake });
});

it('asks nobody about a sandbox that is unknown, runs, or wants other credentials', async () => {
  expect(await gate('ia', withToken())).toEqual({ kind: 'not-found' });
  await catalog.put(entry(SandboxState.RUNNING));
  expect(await gate('ia', withToken())).toMatchObject({ kind: 'resumed' });
  await catalog.put(entry(SandboxState.PAUSED, 'right'));
  expect(await gate('ia', withToken())).toEqual({ kind: 'refused' });
  expect(await gate('ia', withToken('wrong'))).toEqual({ kind: 'refused' });
  expect(asked).toBe(0);
  expect(await gate('ia', withToken('right'))).toBe(outcome);
  expect(asked).toBe(1);
});

it('asks once for all that wait', async () => {
  await catalog.put(entry(SandboxState.PAUSED));
  const answers = await Promise.all(Array.from({ length: 50 }, () => gate('ia', withToken())));
  expect(answers).toEqual(Array(50).fill(outcome));
  expect(asked).toBe(1);
});

it('has whoever asks after a refusal wait, and asks anew for them', async () => {
  await catalog.put(entry(SandboxState.PAUSED));
  outcome = { kind: 'limit-reached', message: 'too many' };
  const began = performance.now();
  expect(await gate('ia', withToken())).toBe(outcome);
  const refused = outcome;
  const again = Array.from({ length: 50 }, () => gate('ia', withToken()));
  expect(await Promise.all(again)).toEqual(Array(50).fill(refused));
  expect(asked).toBe(2);
  // Timers are up to a millisecond early.
  expect(performance.now() - began).toBeGreaterThan(245);
  outcome = { kind: 'resumed', entry: entry(SandboxState.RUNNING) };
  expect(await gate('ia', withToken())).toBe(outcome);
});
