import { create } from '@bufbuild/protobuf';
import { orchestratorProto, type Sandbox } from '@islet/contracts';
import { beforeEach, expect, it } from 'vitest';
import { KnownSandboxes } from './known-sandboxes.ts';

interface Said extends Partial<Pick<orchestratorProto.SandboxConfig, 'templateId' | 'envdAccessToken'>> {
  teamId?: string;
  nodeId?: string;
  startedAtMs?: number;
  endAtMs?: number;
  revision?: number;
  state?: orchestratorProto.SandboxState;
}

function sandbox(sandboxId: string, said: Said = {}): Sandbox {
  const { nodeId = 'n', startedAtMs = 0, endAtMs = 0, revision = 0, state = 0, ...config } = said;
  return create(orchestratorProto.SandboxSchema, {
    config: { sandboxId, teamId: 't1', ...config },
    ...{ nodeId, startedAtMs, endAtMs, revision, state },
  }) as Sandbox;
}

let known: KnownSandboxes;
beforeEach(() => {
  known = new KnownSandboxes();
});

const ids = (sandboxes: Sandbox[]) => sandboxes.map(({ config }) => config.sandboxId);

it('gives back what was put', () => {
  known.put(sandbox('ia', { endAtMs: 5 }));
  expect(known.get('ia')?.endAtMs).toBe(5);
  expect(known.get('ib')).toBeUndefined();
});

it('lists a team without the others', () => {
  known.put(sandbox('ia'));
  known.put(sandbox('ib', { teamId: 't2' }));
  expect(ids(known.ofTeam('t1'))).toEqual(['ia']);
  expect(known.ofTeam('t3')).toEqual([]);
});

it('lists the newest first, by id within one millisecond, however it came about', () => {
  const put = (id: string, startedAtMs: number) => known.put(sandbox(id, { startedAtMs }));
  put('ic', 5.9);
  put('ia', 5.1);
  put('ib', 9);
  put('id', 1);
  expect(ids(known.ofTeam('t1'))).toEqual(['ib', 'ia', 'ic', 'id']);
  put('id', 12);
  put('ib', 2);
  expect(ids(known.ofTeam('t1'))).toEqual(['id', 'ia', 'ic', 'ib']);
  known.remove('ia');
  expect(ids(known.ofTeam('t1'))).toEqual(['id', 'ic', 'ib']);
});

it('gives a page of a team in either order, of the states that are asked for, and counts what runs', () => {
  const { RUNNING, PAUSED, KILLING } = orchestratorProto.SandboxState;
  const put = (id: string, startedAtMs: number, state: orchestratorProto.SandboxState, revision = 0) =>
    known.put(sandbox(id, { startedAtMs, revision, state }));
  for (const at of [1, 3, 5, 7]) put(`r${at}`, at, RUNNING);
  for (const at of [2, 4]) put(`p${at}`, at, PAUSED);
  put('k6', 6, KILLING);
  const page = (how: Partial<Parameters<KnownSandboxes['pageOfTeam']>[1]>) =>
    ids(
      known.pageOfTeam('t1', {
        ...{ states: ['running', 'paused'], order: 'desc', after: undefined, count: 3 },
        ...how,
      }),
    );
  expect(page({})).toEqual(['r7', 'r5', 'p4']);
  expect(page({ after: { startedAtMs: 4, sandboxId: 'p4' } })).toEqual(['r3', 'p2', 'r1']);
  expect(page({ after: { startedAtMs: 6, sandboxId: 'gone' } })).toEqual(['r5', 'p4', 'r3']);
  expect(page({ order: 'asc' })).toEqual(['r1', 'p2', 'r3']);
  expect(page({ order: 'asc', after: { startedAtMs: 3, sandboxId: 'r3' } })).toEqual(['p4', 'r5', 'r7']);
  expect(page({ states: ['paused'] })).toEqual(['p4', 'p2']);
  expect(page({ states: ['running'], count: 1 })).toEqual(['r7']);
  expect(known.runningOfTeam('t1')).toBe(4);
  put('r7', 7, PAUSED, 1);
  expect(page({ states: ['paused'] })).toEqual(['r7', 'p4', 'p2']);
  expect(known.runningOfTeam('t1')).toBe(3);
  known.remove('r5');
  expect(known.runningOfTeam('t1')).toBe(2);
  expect(known.pageOfTeam('t2', { states: ['paused'], order: 'asc', after: undefined, count: 9 })).toEqual(
    [],
  );
});

it('knows what is on a node and of a template, as it was last told', () => {
  known.put(sandbox('ia', { templateId: 'x', nodeId: 'n1' }));
  known.put(sandbox('ib', { templateId: 'x', nodeId: 'n2' }));
  expect(ids(known.onNode('n1'))).toEqual(['ia']);
  known.put(sandbox('ia', { templateId: 'x', nodeId: 'n2' }));
  expect(known.onNode('n1')).toEqual([]);
  expect(ids(known.onNode('n2')).sort()).toEqual(['ia', 'ib']);
  expect(known.anyOf('x')).toBeDefined();
  known.remove('ia');
  expect(known.anyOf('x')?.config.sandboxId).toBe('ib');
  known.remove('ib');
  expect(known.anyOf('x')).toBeUndefined();
  expect(known.onNode('n2')).toEqual([]);
});

it('knows the tokens of those that have one, until they are removed', () => {
  known.put(sandbox('open'));
  known.put(sandbox('ia', { envdAccessToken: 'a' }));
  known.put(sandbox('ib', { envdAccessToken: 'b' }));
  known.put(sandbox('ia', { envdAccessToken: 'a', revision: 1 }));
  expect(known.tokens()).toEqual([
    ['ia', 'a'],
    ['ib', 'b'],
  ]);
  known.remove('ia');
  expect(known.tokens()).toEqual([['ib', 'b']]);
});

it('keeps the later revision, whichever comes last', () => {
  const at = (revision: number) => sandbox('ia', { revision, endAtMs: revision });
  expect(known.put(at(2))).toBe(true);
  expect(known.put(at(1))).toBe(false);
  expect(known.get('ia')?.endAtMs).toBe(2);
  expect(known.put(at(2))).toBe(true);
  expect(known.put(at(3))).toBe(true);
  expect(known.ofTeam('t1').map(({ endAtMs }) => endAtMs)).toEqual([3]);
});

it('forgets what was removed; removing twice is no error', () => {
  known.put(sandbox('ia'));
  known.remove('ia');
  known.remove('ia');
  expect(known.get('ia')).toBeUndefined();
  expect(known.ofTeam('t1')).toEqual([]);
});
