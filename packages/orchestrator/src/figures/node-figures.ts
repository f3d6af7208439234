import { orchestratorProto, type Sandbox } from '@islet/contracts';
import { Count, Durations, isMeasured, openGauge } from '@islet/telemetry';
import type { SandboxEvent } from '../sandbox/events.ts';
import type { SandboxCounts } from '../sandbox/sandboxes.ts';

const { KillReason, SandboxState } = orchestratorProto;

const KILLED = new Count({
  name: 'orchestrator.sandbox.killed',
  description: 'Sandboxes that have ended, by why',
});
const CHECKPOINTS = new Count({
  name: 'orchestrator.sandbox.checkpoint',
  description: 'Sandboxes that were paused',
});
const EXECUTIONS = new Durations({
  name: 'orchestrator.sandbox.execution.duration',
  description: 'How long sandboxes ran, from a start or resume to their end or pause',
});

const MIB = 1024 * 1024;

/** Of a node, as it is now. */
export interface NodeFigures {
  sandboxes: {
    list(): Sandbox[];
    counts(): SandboxCounts;
    events: { listen(listener: (event: SandboxEvent) => void): () => void };
    /** Kept ready, by what. */
    ready(): { machines: number; places: number };
    /** Starts that wait for their turn. */
    readonly waiting: number;
  };
  network: {
    /** Made ahead of demand, in use, and all that there could be. */
    slots(): { ready: number; used: number; total: number; waiting: number };
  };
}

/** Tells of a node's sandboxes and of what it has for them. @returns ends that */
export function openNodeFigures({ sandboxes, network }: NodeFigures): () => void {
  if (!isMeasured()) return () => undefined;
  const running = () => sandboxes.list().filter(({ address }) => address !== '');
  const sumOf = (read: (config: orchestratorProto.SandboxConfig) => number) =>
    running().reduce((sum, { config }) => sum + read(config), 0);
  const gauges = [
    openGauge({
      name: 'orchestrator.env.sandbox.running',
      description: 'Sandboxes that run on the node',
      read: () => sandboxes.counts().running,
    }),
    openGauge({
      name: 'orchestrator.status',
      description: '1: the node serves',
      read: () => 1,
    }),
    openGauge({
      name: 'orchestrator.sandbox.cpu.allocated',
      description: 'CPUs of the sandboxes that run, as their templates say',
      read: () => sumOf(({ cpuCount }) => cpuCount),
    }),
    openGauge({
      name: 'orchestrator.sandbox.memory.allocated',
      description: 'Memory of the sandboxes that run, as their templates say',
      unit: 'By',
      read: () => sumOf(({ memoryMb }) => memoryMb * MIB),
    }),
    openGauge({
      name: 'orchestrator.sandbox.disk.allocated',
      description: 'Root file systems of the sandboxes that run, as their templates say',
      unit: 'By',
      read: () => sumOf(({ diskSizeMb }) => diskSizeMb * MIB),
    }),
    openGauge({
      name: 'orchestrator.pool.ready',
      description: 'What is kept ready ahead of demand',
      read: () => {
        const { machines, places } = sandboxes.ready();
        const { ready } = network.slots();
        return [
          [machines, { kind: 'machine' }],
          [places, { kind: 'place' }],
          [ready, { kind: 'network slot' }],
        ];
      },
    }),
    openGauge({
      name: 'orchestrator.places.free',
      description: 'Sandboxes that could still get a network slot',
      read: () => {
        const { total, used, ready } = network.slots();
        return total - used + ready;
      },
    }),
    openGauge({
      name: 'orchestrator.evictions.running',
      description: 'Sandboxes whose time is over, and that are being paused or ended',
      read: () => running().filter(({ endAtMs }) => endAtMs <= Date.now()).length,
    }),
    openGauge({
      name: 'orchestrator.queue.depth',
      description: 'What waits for its turn',
      read: () => [
        [sandboxes.waiting, { queue: 'starts' }],
        [network.slots().waiting, { queue: 'network slots' }],
      ],
    }),
  ];
  const unheard = sandboxes.events.listen(toldOf());
  return () => {
    unheard();
    for (const gauge of gauges) gauge[Symbol.dispose]();
  };
}

/** Counts what events say. */
function toldOf(): (event: SandboxEvent) => void {
  /** Runs that were told to have ended: a paused sandbox is told of more than once. */
  const paused = new Map<string, string>();
  return (event) => {
    const { config, executionId, startedAtMs, state } = event.sandbox;
    const { sandboxId } = config;
    const ran = () => EXECUTIONS.record(Date.now() - startedAtMs);
    if (event.kind === 'ended') {
      KILLED.add({ kill_reason: KillReason[event.reason]?.toLowerCase() ?? 'unknown' });
      if (!paused.delete(sandboxId)) ran();
    } else if (state === SandboxState.PAUSED) {
      if (paused.get(sandboxId) === executionId) return;
      paused.set(sandboxId, executionId);
      CHECKPOINTS.add();
      ran();
    } else if (state === SandboxState.RUNNING) {
      paused.delete(sandboxId);
    }
  };
}
