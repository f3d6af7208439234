import { create } from '@bufbuild/protobuf';
import { orchestratorProto, type SandboxLog } from '@islet/contracts';
import { expect, it } from 'vitest';
import type { SandboxEvent } from './events.ts';
import { logLives } from './life-log.ts';

const { KillReason, SandboxState } = orchestratorProto;

const sandbox = (state: orchestratorProto.SandboxState, executionId = 'e1') =>
  create(orchestratorProto.SandboxSchema, {
    config: { sandboxId: 'ia', teamId: 't1', templateId: 'base' },
    state,
    executionId,
  });

async function told(events: SandboxEvent[], known: orchestratorProto.Sandbox[] = []): Promise<string[]> {
  const logs: SandboxLog[] = [];
  async function* all() {
    yield* events;
  }
  await logLives(
    known,
    all(),
    (log) => logs.push(log),
    () => 7,
  );
  expect(logs.every(({ sandboxId, teamId, timeMs }) => `${sandboxId}${teamId}${timeMs}` === 'iat17')).toBe(
    true,
  );
  return logs.map(({ level, message, fields }) => `${level} ${message} ${fields.kill_reason ?? ''}`.trim());
}

const changed = (state: orchestratorProto.SandboxState, executionId?: string): SandboxEvent => ({
  kind: 'changed',
  sandbox: sandbox(state, executionId),
});
const ended = (reason: orchestratorProto.KillReason): SandboxEvent => ({
  kind: 'ended',
  sandbox: sandbox(SandboxState.KILLING),
  reason,
});

it('tells of each state once, of each run, and of the end', async () => {
  expect(
    await told([
      changed(SandboxState.RUNNING),
      changed(SandboxState.RUNNING), // a new timeout
      changed(SandboxState.PAUSING),
      changed(SandboxState.PAUSED),
      changed(SandboxState.RUNNING, 'e2'),
      ended(KillReason.TIMEOUT),
    ]),
  ).toEqual([
    'info sandbox runs',
    'info sandbox is paused',
    'info sandbox runs',
    'info sandbox ended timeout',
  ]);
});

it('counts an end of its own as an error', async () => {
  expect(await told([ended(KillReason.EXITED)])).toEqual(['error sandbox ended exited']);
});

it('tells nothing of what went on before', async () => {
  expect(await told([changed(SandboxState.RUNNING)], [sandbox(SandboxState.RUNNING)])).toEqual([]);
});
