import { create } from '@bufbuild/protobuf';
import { createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import { orchestratorProto } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NodeSandboxes } from '../src/nodes/node-sandboxes.ts';
import { KnownSandboxes } from '../src/sandboxes/known-sandboxes.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const { SandboxState } = orchestratorProto;
const ID = 'moved';
const RUN = 'its run';

let node: SimulatedNode;
let known: KnownSandboxes;
/** What the database says of moves away from the node, one answer after the other; then nothing. */
let movedAway: (string[] | Promise<string[]>)[];
let ofNode: NodeSandboxes;
beforeEach(() => {
  node = new SimulatedNode();
  known = new KnownSandboxes();
  movedAway = [];
  ofNode = new NodeSandboxes({
    nodeId: 'n',
    link: simulatedLink(node),
    sandboxes: known,
    routes: createMemoryRoutes(Date.now),
    reservations: createMemoryReservations(Date.now),
    rows: { paused: () => {}, gone: () => {}, reported: () => {}, on: async () => [] },
    losses: { note: () => {} },
    onOwed: (error) => {
      throw error;
    },
    moves: { from: async () => movedAway.shift() ?? [], freed: async () => {} },
    clock: { now: Date.now, monotonic: Date.now },
    logger: createLogger({ service: 'test', level: 'silent' }),
  });
});
afterEach(() => node.close());

function sandbox(state: orchestratorProto.SandboxState, revision: number, executionId = RUN) {
  return create(orchestratorProto.SandboxSchema, {
    config: { sandboxId: ID, teamId: 't', templateId: 'base' },
    ...{ state, revision, endAtMs: Date.now() + 600_000, executionId },
  });
}

it('does not hide what comes back to a node that had freed it before the report was read', async () => {
  let tell = (_: string[]) => {};
  movedAway = [
    [],
    new Promise((resolve) => {
      tell = resolve;
    }),
    [ID],
  ];
  await ofNode.expectReport();
  await ofNode.reconcile({ sandboxes: [sandbox(SandboxState.PAUSED, 1)] });
  // Another control plane has had it freed, which the node tells before the database has answered.
  await ofNode.left(ID, RUN);
  tell([ID]);
  await expect.poll(() => movedAway).toEqual([]);
  expect(known.get(ID)).toBeUndefined();
  const back = sandbox(SandboxState.RUNNING, 5, 'its next run');
  node.sandboxes.set(ID, back);
  await ofNode.changed(back);
  await expect.poll(() => known.get(ID)).toMatchObject({ state: SandboxState.RUNNING });
});

it('shows what has come back while the node reported', async () => {
  movedAway = [[ID]];
  await ofNode.expectReport();
  node.sandboxes.set(ID, sandbox(SandboxState.RUNNING, 5));
  await ofNode.reconcile({ sandboxes: [sandbox(SandboxState.RUNNING, 5)] });
  await ofNode.settled();
  expect(known.get(ID)).toMatchObject({ state: SandboxState.RUNNING });
});
