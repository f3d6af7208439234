import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  isUuid,
  newSandbox,
  orchestratorProto,
  type Sandbox,
  type SandboxLifeEvent,
  type SandboxLog,
} from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import type { SandboxEvent } from '../sandbox/events.ts';
import { orderedIds } from './event-ids.ts';
import { LifeNotes } from './life-notes.ts';

const { KillReason, SandboxState } = orchestratorProto;

interface Over {
  executionId?: string;
  startedAtMs?: number;
  endAtMs?: number;
  moving?: boolean;
  config?: MessageInitShape<typeof orchestratorProto.SandboxConfigSchema>;
}

const sandbox = (state: orchestratorProto.SandboxState, over: Over = {}) =>
  newSandbox({
    config: {
      ...{ sandboxId: 'ia', teamId: 't1', templateId: 'base', buildId: 'b1', cpuCount: 2, memoryMb: 512 },
      metadata: { owner: 'me' },
      egress: { allowOut: [], denyOut: [] },
    },
    ...{ state, executionId: 'e1', startedAtMs: 1_000, endAtMs: 9_000, ...over },
  });

const changed = (state: orchestratorProto.SandboxState, over?: Over): SandboxEvent => ({
  kind: 'changed',
  sandbox: sandbox(state, over),
});
const ended = (reason: orchestratorProto.KillReason, over?: Over): SandboxEvent => ({
  kind: 'ended',
  sandbox: sandbox(SandboxState.KILLING, over),
  reason,
});

/** What is noted of what happened, at 7,000. */
function noted(happened: SandboxEvent[], known: Sandbox[] = []) {
  const logs: SandboxLog[] = [];
  const events: SandboxLifeEvent[] = [];
  const notes = new LifeNotes(known, {
    logs: { record: (log) => logs.push(log) },
    events: { record: (event) => events.push(event) },
    now: () => 7_000,
  });
  for (const event of happened) notes.hear(event);
  for (const note of [...logs, ...events])
    expect(note).toMatchObject({ sandboxId: 'ia', teamId: 't1', timeMs: 7_000 });
  return {
    notes,
    events,
    types: () => events.map(({ type }) => type),
    lines: logs.map(({ level, message, fields }) => `${level} ${message} ${fields.kill_reason ?? ''}`.trim()),
  };
}

const LIFE = [
  changed(SandboxState.RUNNING),
  changed(SandboxState.PAUSING),
  changed(SandboxState.PAUSED, { endAtMs: 4_000 }),
  changed(SandboxState.RUNNING, { executionId: 'e2', startedAtMs: 6_000 }),
  ended(KillReason.TIMEOUT, { executionId: 'e2', startedAtMs: 6_000 }),
];

it('notes each state once, of each run, and the end', () => {
  const { lines, events } = noted(LIFE);
  expect(lines).toEqual([
    'info sandbox runs',
    'info sandbox is paused',
    'info sandbox runs',
    'info sandbox ended timeout',
  ]);
  const run = { templateId: 'base', buildId: 'b1', metadata: { owner: 'me' } };
  const size = { cpuCount: 2, memoryMb: 512 };
  expect(events).toMatchObject([
    { ...run, type: 'created', executionId: 'e1' },
    {
      ...run,
      type: 'paused',
      executionId: 'e1',
      execution: { ...size, startedAtMs: 1_000, lengthMs: 3_000 },
    },
    { ...run, type: 'resumed', executionId: 'e2' },
    {
      ...{ ...run, type: 'killed', executionId: 'e2', killReason: 'timeout' },
      execution: { ...size, startedAtMs: 6_000, lengthMs: 1_000 },
    },
  ]);
  expect(events.map(({ execution }) => execution !== undefined)).toEqual([false, true, false, true]);
  const ids = events.map(({ id }) => id);
  expect(ids.every(isUuid)).toBe(true);
  expect(ids.toSorted()).toEqual(ids);
});

it('notes what was changed of a running sandbox, and nothing that goes on as it was', () => {
  const egress = { allowOut: ['a.example'], denyOut: ['0.0.0.0/0'] };
  const rules = { config: { sandboxId: 'ia', teamId: 't1', egress }, endAtMs: 10_000 };
  const { lines, events } = noted([
    changed(SandboxState.RUNNING),
    changed(SandboxState.RUNNING),
    changed(SandboxState.SNAPSHOTTING),
    changed(SandboxState.RUNNING),
    changed(SandboxState.RUNNING, { endAtMs: 10_000 }),
    changed(SandboxState.RUNNING, rules),
    changed(SandboxState.KILLING, rules),
    changed(SandboxState.RUNNING, rules),
  ]);
  expect(lines).toEqual(['info sandbox runs']);
  expect(events.map(({ type, endAtMs, egress }) => ({ type, endAtMs, egress }))).toEqual([
    { type: 'created' },
    { type: 'updated', endAtMs: 10_000 },
    { type: 'updated', egress },
  ]);
});

it('counts an end of its own as an error, for which the protocol has no name', () => {
  const { lines, events } = noted([ended(KillReason.EXITED)]);
  expect(lines).toEqual(['error sandbox ended exited']);
  expect(events).toMatchObject([{ type: 'killed', killReason: 'unknown' }]);
});

it('counts the time of a paused sandbox only until its pause', () => {
  const { events } = noted([ended(KillReason.REQUEST, { endAtMs: 3_000 })], [sandbox(SandboxState.PAUSED)]);
  expect(events).toMatchObject([{ killReason: 'request', execution: { lengthMs: 2_000 } }]);
});

it('notes nothing of what went on before', () => {
  const { lines, events } = noted([changed(SandboxState.RUNNING)], [sandbox(SandboxState.RUNNING)]);
  expect([lines, events]).toEqual([[], []]);
  const resumed = noted(
    [changed(SandboxState.RUNNING, { executionId: 'e2' })],
    [sandbox(SandboxState.PAUSED)],
  );
  expect(resumed.types()).toEqual(['resumed']);
});

it('notes a snapshot when it is told of one', () => {
  const { notes, types } = noted([changed(SandboxState.RUNNING)]);
  notes.checkpointed(sandbox(SandboxState.RUNNING));
  expect(types()).toEqual(['created', 'checkpointed']);
});

it('makes ids in order, whatever the clock does', () => {
  const times = [5, 5, 3, 3, 5, 6, 1_700_000_000_000.5];
  const newId = orderedIds(() => times.shift() ?? 0);
  const ids = Array.from({ length: 7 }, newId);
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids.map((id) => id.slice(0, 18))).size).toBe(7);
  expect(ids.at(-1)).toMatch(/^018bcfe5-6800-7000-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

it('notes no pause and no resume of a sandbox that is moved, and its life as one', () => {
  const { RUNNING, PAUSED } = SandboxState;
  const home = noted([changed(RUNNING), changed(PAUSED, { moving: true }), ended(KillReason.TAKEN_OVER)]);
  expect(home.types()).toEqual(['created']);
  const next = noted([
    changed(PAUSED, { moving: true }),
    changed(RUNNING, { executionId: 'e2' }),
    changed(PAUSED, { executionId: 'e2', endAtMs: 5_000 }),
  ]);
  expect(next.types()).toEqual(['paused']);
  expect(next.events[0]?.execution).toMatchObject({ startedAtMs: 1_000, lengthMs: 4_000 });
  // Its time was over before another node had it.
  const late = noted([changed(RUNNING), changed(PAUSED, { moving: true }), changed(PAUSED)]);
  expect(late.types()).toEqual(['created', 'paused']);
});

describe('after a process that was killed', () => {
  /** What is noted at the start, of sandboxes that the process before last said this of; and what is remembered then. */
  function started(known: Sandbox[], last: Partial<SandboxLifeEvent>[] | undefined) {
    const events: SandboxLifeEvent[] = [];
    const memory = new Map<string, SandboxLifeEvent>();
    new LifeNotes(known, {
      logs: { record: () => undefined },
      events: { record: (event) => events.push(event) },
      memory: {
        remembered: last && new Map(last.map((event) => [event.sandboxId ?? '', event as SandboxLifeEvent])),
        remember: (event) => memory.set(event.sandboxId, event),
        forget: (sandboxId) => memory.delete(sandboxId),
      },
      now: () => 7_000,
    });
    return { events, types: events.map(({ type }) => type), memory };
  }
  const said = (type: SandboxLifeEvent['type'], executionId = 'e1') => ({
    sandboxId: 'ia',
    type,
    executionId,
  });

  it('notes the change that was not noted', () => {
    const running = sandbox(SandboxState.RUNNING);
    const paused = sandbox(SandboxState.PAUSED, { endAtMs: 4_000 });
    expect(started([running], []).types).toEqual(['created']);
    expect(started([running], [said('paused', 'e0')]).types).toEqual(['resumed']);
    expect(started([paused], [said('updated')]).events).toMatchObject([
      { type: 'paused', execution: { startedAtMs: 1_000, lengthMs: 3_000 } },
    ]);
  });

  it('notes the end of what is not there any more, with how long it ran', () => {
    const execution = { startedAtMs: 1_000, lengthMs: 0, cpuCount: 2, memoryMb: 512 };
    const [killed] = started([], [{ ...said('created'), teamId: 't1', execution, endAtMs: 5_000 }]).events;
    expect(killed).toMatchObject({ type: 'killed', killReason: 'orphaned', teamId: 't1', timeMs: 7_000 });
    expect(killed?.execution).toEqual({ ...execution, lengthMs: 4_000 });
    expect(isUuid(killed?.id ?? '')).toBe(true);
  });

  it('notes nothing that was noted, nothing that another node has, and nothing if nobody remembers', () => {
    const running = sandbox(SandboxState.RUNNING);
    for (const type of ['created', 'resumed', 'updated', 'checkpointed'] as const) {
      expect(started([running], [said(type)]).types).toEqual([]);
    }
    const paused = sandbox(SandboxState.PAUSED);
    expect(started([paused], [said('paused')]).types).toEqual([]);
    expect(started([paused], []).types).toEqual([]);
    expect(started([sandbox(SandboxState.PAUSED, { moving: true })], [said('created')]).types).toEqual([]);
    const { types, memory } = started([running], undefined);
    expect(types).toEqual([]);
    expect([...memory.keys()]).toEqual(['ia']);
  });
});
