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
}

function sandbox(sandboxId: string, said: Said = {}): Sandbox {
  const { nodeId = 'n', startedAtMs = 0, endAtMs = 0, revision = 0, ...config } = said;
  return create(orchestratorProto.SandboxSchema, {
    config: { sandboxId, teamId: 't1', ...config },
    ...{ nodeId, startedAtMs, endAtMs, revision },
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
