import { orchestratorProto } from '@islet/contracts';
import { expect, it, vi } from 'vitest';
import type { Modelled, State } from './modelled.ts';
import type { Fault } from './process.ts';
import { configOf, World } from './world.ts';

vi.mock('node:fs/promises', async (real) => (await import('./files.ts')).faultyFiles(await real()));

const HOUR_MS = 3_600_000;
const { REQUEST, TAKEN_OVER } = orchestratorProto.KillReason;
const RESUME = { timeoutMs: HOUR_MS, autoPause: undefined, filesOnly: false };

/** A world in which the next step of a name fails, or worse, from when that is said; `passing` of them go well before. */
async function openWorld() {
  let next: { step: string; fault: Fault; passing: number } | undefined;
  const world = await World.open({
    plan: (step) => {
      if (step !== next?.step || next.passing-- > 0) return undefined;
      const { fault } = next;
      next = undefined;
      return fault;
    },
  });
  const disturb = (step: string, kind: 'failsBefore' | 'machineEnds' | 'killedBefore', passing = 0) => {
    next = { step, fault: { kind }, passing };
  };
  const delay = (step: string, ms: number) => {
    next = { step, fault: { kind: 'delay', ms }, passing: 0 };
  };
  return { world, disturb, delay };
}

function modelled(id: string, state: State): Map<string, Modelled> {
  return new Map([[id, { states: new Set([state]), file: 'blank', memory: 'blank' }]]);
}

const create = (world: World) => world.node.ask((sandboxes) => sandboxes.create(configOf('s'), HOUR_MS));

it('gives a start up when its machine has ended, long before its deadline', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  disturb('driver.restore', 'machineEnds');
  await expect(create(world)).rejects.toThrow(/ended before its daemon answered/);
  await world.settle(new Map());
});

it('shows a sandbox as running that could not be killed, and kills it when asked again', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  disturb('driver.kill', 'failsBefore');
  await expect(world.node.ask((sandboxes) => sandboxes.kill('s', REQUEST))).rejects.toThrow(/fails/);
  await world.settle(modelled('s', 'running'));
  await world.node.ask((sandboxes) => sandboxes.kill('s', REQUEST));
  await world.settle(new Map());
});

it('shows a sandbox as running whose pause could not be written down', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  disturb('files.writeFile', 'failsBefore');
  await expect(world.node.ask((sandboxes) => sandboxes.pause('s', false))).rejects.toThrow(/fails/);
  await world.settle(modelled('s', 'running'));
});

it('keeps nothing of a pause that failed, which a later one could be taken for', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  disturb('driver.checkpoint', 'failsBefore');
  // It may be tried again.
  await expect(world.node.ask((sandboxes) => sandboxes.pause('s', false))).rejects.toMatchObject({
    status: 503,
    message: expect.stringMatching(/it still runs/),
    cause: { message: expect.stringMatching(/fails/) },
  });
  await world.settle(modelled('s', 'running'));
});

it('answers a resume whose used saved state cannot be deleted: the sandbox runs', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  await world.node.ask((sandboxes) => sandboxes.pause('s', false));
  await world.settle(modelled('s', 'paused'));
  disturb('files.rename', 'failsBefore', 1); // after that of the record
  expect(await world.node.ask((sandboxes) => sandboxes.resume('s', RESUME))).toBeDefined();
  await world.settle(modelled('s', 'running'), { lasting: () => 'a record' });
  expect(await world.node.ask((sandboxes) => sandboxes.pause('s', false))).toBeDefined();
  await world.settle(modelled('s', 'paused'), { lasting: () => 'a record' });
  await world.restart(); // which removes what nothing refers to
  await world.settle(modelled('s', 'paused'));
});

it('answers a fork whose stage cannot be removed', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  disturb('files.rm', 'failsBefore');
  const forked = await world.node.ask((sandboxes) => sandboxes.fork('s', [configOf('child')], HOUR_MS));
  expect(forked?.answer).toMatchObject([{ sandbox: { config: { sandboxId: 'child' } } }]);
});

it('begins the time of all copies of a fork when the last one has started', async () => {
  const { world, delay } = await openWorld();
  await using _ = world;
  await create(world);
  const configs = [configOf('slow'), configOf('quick')];
  delay('driver.restore', 1_000);
  // Shorter than the slow one takes to start.
  const forked = await world.node.ask((sandboxes) => sandboxes.fork('s', configs, 800));
  const now = Date.now();
  const ends = forked?.answer?.map((each) => ('sandbox' in each ? each.sandbox.endAtMs - now : each.error));
  for (const left of ends ?? []) expect(left).toBeGreaterThan(0);
  expect(ends).toHaveLength(2);
});

it('gives the copies of a fork that have started where another one fails', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  disturb('driver.restore', 'failsBefore');
  const configs = [configOf('a'), configOf('b')];
  const forked = await world.node.ask((sandboxes) => sandboxes.fork('s', configs, HOUR_MS));
  expect(forked?.answer?.filter((each) => 'sandbox' in each)).toHaveLength(1);
  expect(forked?.answer?.filter((each) => 'error' in each)).toHaveLength(1);
});

it('frees the network of a machine whose volumes cannot be taken away', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  disturb('volumes.detach', 'failsBefore');
  await world.node.ask((sandboxes) => sandboxes.kill('s', REQUEST));
  await expect.poll(() => [...world.host.slots.keys()]).toEqual([]);
  await world.restart();
  await world.settle(new Map());
});

it('writes down that a sandbox runs on whose pause the node did not live to see', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  disturb('driver.checkpoint', 'killedBefore');
  expect(await world.node.ask((sandboxes) => sandboxes.pause('s', false))).toBeUndefined();
  const told = world.node.told.get('s');
  await world.settle(modelled('s', 'running'));
  expect(world.node.sandboxes.get('s')?.revision).toBeGreaterThan(told?.revision ?? Number.POSITIVE_INFINITY);
});

it('gives up a sandbox that was killed with its node before all of it was written', async () => {
  const { world, disturb } = await openWorld();
  await using _ = world;
  await create(world);
  disturb('driver.checkpoint', 'killedBefore');
  expect(await world.node.ask((sandboxes) => sandboxes.pause('s', false))).toBeUndefined();
  for (const id of world.host.machines.keys()) world.host.end(id);
  await world.settle(new Map());
});

it('says nothing of a sandbox that it lets another node have, but that it is here no more', async () => {
  const { world } = await openWorld();
  await using _ = world;
  await create(world);
  await world.node.ask((sandboxes) => sandboxes.pause('s', false));
  const said: { kind: string; state: orchestratorProto.SandboxState }[] = [];
  const stop = new AbortController();
  const events = world.node.sandboxes.events.subscribe(stop.signal);
  const listening = (async () => {
    for await (const { kind, sandbox } of events) said.push({ kind, state: sandbox.state });
  })();
  await world.node.ask((sandboxes) => sandboxes.kill('s', TAKEN_OVER));
  stop.abort();
  await listening;
  // In a revision that the other node has long passed it would be taken for news.
  expect(said.map(({ kind }) => kind)).toEqual(['ended']);
  await world.settle(new Map());
});

it('leaves a sandbox alone that does not run, if only one that runs is to be killed', async () => {
  const { world } = await openWorld();
  await using _ = world;
  await create(world);
  const killRunning = () =>
    world.node.ask((sandboxes) => sandboxes.kill('s', REQUEST, { onlyRunning: true }));
  await world.node.ask((sandboxes) => sandboxes.stopToMove('s'));
  await expect(killRunning()).rejects.toMatchObject({ status: 409, errorCode: 'sandbox_moving' });
  await world.node.ask((sandboxes) => sandboxes.resume('s', RESUME));
  await world.node.ask((sandboxes) => sandboxes.pause('s', false));
  await expect(killRunning()).rejects.toMatchObject({ status: 409 });
  await world.settle(modelled('s', 'paused'));
  await world.node.ask((sandboxes) => sandboxes.resume('s', RESUME));
  await killRunning();
  await world.settle(new Map());
});
