import { create } from '@bufbuild/protobuf';
import { newSandbox, orchestratorProto } from '@islet/contracts';
import type { Machine } from '@islet/driver';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FREEZE_AFTER_KEY, Freezer, parseFreezeAfter } from './freezer.ts';
import type { Entry } from './table.ts';

const { SandboxConfigSchema, SandboxState } = orchestratorProto;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A node with one sandbox, whose driver does nothing but remember. */
function node(freezeAfterMs: number | undefined, metadata: Record<string, string> = {}) {
  const config = create(SandboxConfigSchema, { sandboxId: 'one', metadata });
  const machine: Machine = { id: 'm', dir: '/', main: { pid: 0, startTicks: 0 }, companions: [] };
  const entry: Entry = {
    ...{ base: { rootfs: '', guest: '' }, saved: undefined, run: { machine, slotIndex: 0 } },
    sandbox: newSandbox({ config, executionId: 'run', state: SandboxState.RUNNING }),
  };
  const state = { still: true, frozen: false, wanted: true, entries: [entry], stoodStillMs: 0 };
  const freezer = new Freezer({
    driver: {
      freeze: async () => {
        state.frozen = true;
      },
      thaw: async () => {
        state.frozen = false;
      },
      isStill: () => state.still,
      expect: (_, wanted) => {
        state.wanted = wanted;
      },
    },
    freezeAfterMs,
    entries: () => state.entries,
    inTurn: (_, task) => task(),
    stoodStill: (run, { from, to }) => {
      if (run.sandboxId === 'one' && run.machine === machine) state.stoodStillMs += to - from;
    },
    now: Date.now,
    logger: createLogger({ service: 'test', level: 'silent' }),
  });
  return { entry, state, freezer };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('a sandbox that nobody uses', () => {
  it('is frozen after its time, and goes on when traffic or a call comes', async () => {
    const { entry, state, freezer } = node(10_000);
    await pass(9_500);
    expect(state.frozen).toBe(false);
    await pass(4_500);
    expect(state.frozen).toBe(true);
    expect(freezer.rests('run')).toBe(true);
    await pass(5_000);
    freezer.use('run', true);
    expect(state).toMatchObject({ frozen: false, wanted: true });
    await pass(60_000);
    // Its ten seconds began when nobody waited for it any more, three seconds after the start.
    expect(state.stoodStillMs).toBe(6_000);
    expect(state).toMatchObject({ frozen: false, wanted: true });
    freezer.use('run', false);
    await pass(14_000);
    expect(state.wanted).toBe(false);
    expect(state.frozen).toBe(true);
    await freezer.wake(entry);
    expect(state.frozen).toBe(false);
    await pass(9_000);
    expect(state.frozen).toBe(false);
    await pass(5_000);
    expect(state.frozen).toBe(true);
    freezer.close();
  });

  it('is not while its programs run, nor if its driver cannot tell', async () => {
    const { state, freezer } = node(10_000);
    state.still = false;
    await pass(60_000);
    expect(state.frozen).toBe(false);
    expect(freezer.rests('run')).toBe(false);
    state.still = true;
    await pass(11_000);
    expect(state.frozen).toBe(true);
    freezer.close();
  });

  it('is by what it says itself, else by what the node says', async () => {
    const never = node(10_000, { [FREEZE_AFTER_KEY]: '0' });
    const sooner = node(undefined, { [FREEZE_AFTER_KEY]: '5' });
    const off = node(undefined);
    await pass(9_000);
    expect(sooner.state.frozen).toBe(true);
    await pass(60_000);
    expect([never.state.frozen, off.state.frozen]).toEqual([false, false]);
    for (const { freezer } of [never, sooner, off]) freezer.close();
  });

  it('is nobody any more once it has ended', async () => {
    const { state, freezer } = node(1_000);
    await pass(5_000);
    expect(freezer.rests('run')).toBe(true);
    state.entries = [];
    await pass(1_000);
    expect(freezer.rests('run')).toBe(false);
    freezer.close();
  });
});

it.each([
  [undefined, 7],
  ['30', 30_000],
  ['0', undefined],
  ['-1', 7],
  ['1e3', 7],
  ['99999999', 7],
])('reads %j of a sandbox', (text, expected) => {
  expect(parseFreezeAfter(text, 7)).toBe(expected);
});
