import { orchestratorProto } from '@islet/contracts';
import type { Sandboxes } from '../../src/sandbox/sandboxes.ts';
import type { Lasting } from './checks.ts';
import type { DriverKind } from './driver.ts';
import type { Modelled, State } from './modelled.ts';
import type { Fault, FaultPlan } from './process.ts';
import { configOf, World } from './world.ts';

const HOUR_MS = 3_600_000;
const { REQUEST } = orchestratorProto.KillReason;

/** A step that has done nothing if it fails. */
function isWhole(step: string): boolean {
  return step.startsWith('files.') || step === 'network.take';
}

/** A fault at the step of a number, counted from when it is armed. */
export class FaultAt {
  readonly steps: string[] = [];
  readonly number: number;
  readonly #fault: Fault;
  #isArmed = false;

  constructor(number: number, fault: Fault) {
    this.number = number;
    this.#fault = fault;
  }

  arm(): void {
    this.#isArmed = true;
  }

  /** The step that it came to; undefined: there were fewer. */
  disarm(): string | undefined {
    this.#isArmed = false;
    return this.steps[this.number];
  }

  readonly plan: FaultPlan = (step) => {
    if (!this.#isArmed) return undefined;
    this.steps.push(step);
    if (this.steps.length !== this.number + 1) return undefined;
    return this.#fault.kind === 'failsAfter' && isWhole(step) ? undefined : this.#fault;
  };
}

export interface Operation {
  /** What there is before: a sandbox that is asked for. */
  before: 'nothing' | 'running' | 'paused';
  ask: (sandboxes: Sandboxes) => Promise<unknown>;
  /** What each sandbox may be afterwards, by the outcome. */
  ok: Record<string, State[]>;
  failed: Record<string, State[]>;
}

const resume = { timeoutMs: HOUR_MS, autoPause: undefined, filesOnly: false };
export const OPERATIONS: Record<string, Operation> = {
  create: {
    before: 'nothing',
    ask: (sandboxes) => sandboxes.create(configOf('s', { withVolume: true }), HOUR_MS),
    ok: { s: ['running'] },
    failed: { s: ['gone'] },
  },
  pause: {
    before: 'running',
    ask: (sandboxes) => sandboxes.pause('s', false),
    ok: { s: ['paused'] },
    // What fails once its machine has ended takes the sandbox along.
    failed: { s: ['running', 'gone'] },
  },
  resume: {
    before: 'paused',
    ask: (sandboxes) => sandboxes.resume('s', resume),
    ok: { s: ['running'] },
    failed: { s: ['paused'] },
  },
  fork: {
    before: 'running',
    ask: (sandboxes) => sandboxes.fork('s', [configOf('a'), configOf('b')], HOUR_MS),
    ok: { s: ['running'], a: ['running', 'gone'], b: ['running', 'gone'] },
    failed: { s: ['running'], a: ['gone'], b: ['gone'] },
  },
  snapshot: {
    before: 'running',
    ask: (sandboxes) => sandboxes.snapshot('s', { templateId: 't', buildId: 'b' }),
    ok: { s: ['running'] },
    failed: { s: ['running'] },
  },
  kill: {
    before: 'running',
    ask: (sandboxes) => sandboxes.kill('s', REQUEST),
    ok: { s: ['gone'] },
    failed: { s: ['running', 'gone'] },
  },
};

/** What the failure of a step leaves to the next node. */
export function lastingOf(step = ''): Lasting {
  if (step === 'files.rm') return 'a folder';
  if (['driver.kill', 'driver.release', 'volumes.detach'].includes(step)) return 'a machine';
  return ['files.writeFile', 'files.rename'].includes(step) ? 'a record' : 'nothing';
}

/** Does it with a fault, and looks at what is left. False: it has no such step. */
export async function disturb(
  kind: DriverKind,
  { before, ask, ok, failed }: Operation,
  at: FaultAt,
  fault: Fault['kind'],
): Promise<boolean> {
  await using world = await World.open({ kind, plan: at.plan });
  const models = new Map<string, Modelled>();
  if (before !== 'nothing') {
    const volumes = { withVolume: ask !== OPERATIONS.snapshot?.ask };
    await world.node.ask((sandboxes) => sandboxes.create(configOf('s', volumes), HOUR_MS));
    models.set('s', { states: new Set(['running']), file: 'blank', memory: 'blank' });
    if (before === 'paused') {
      await world.node.ask((sandboxes) => sandboxes.pause('s', false));
      models.set('s', { states: new Set(['paused']), file: 'blank', memory: 'blank' });
    }
    await world.settle(models);
  }
  at.arm();
  const outcome = await world.node.ask(ask).then(
    (answer) => (answer ? 'ok' : 'cut'),
    () => 'failed',
  );
  const possible = { ok, failed, cut: merged(ok, failed) }[outcome] ?? {};
  for (const [id, states] of Object.entries(possible)) {
    // A machine that ended takes its sandbox along.
    const lost = fault === 'machineEnds' ? ['gone'] : [];
    models.set(id, { states: new Set([...states, ...lost] as State[]), file: 'blank', memory: 'blank' });
  }
  try {
    const lasting = () => lastingOf(at.steps[at.number]);
    await world.settle(models, { lasting });
    const isOver = at.disarm() === undefined;
    if (lasting() !== 'nothing') {
      await world.restart();
      await world.settle(models);
    }
    return !isOver;
  } catch (error) {
    const steps = at.steps.slice(0, at.number + 1).join(', ');
    throw new Error(`${fault} at the last of ${steps}: ${(error as Error).message}`, { cause: error });
  }
}

function merged(a: Record<string, State[]>, b: Record<string, State[]>): Record<string, State[]> {
  return Object.fromEntries(Object.keys(a).map((id) => [id, [...(a[id] ?? []), ...(b[id] ?? [])]]));
}
