import { orchestratorProto, type Sandbox } from '@islet/contracts';
import type { Expected } from './checks.ts';
import { idOf } from './node.ts';

const { SandboxState } = orchestratorProto;

export type State = 'running' | 'paused' | 'gone';

/** A sandbox as it may be after what was asked for, and what was answered. */
export interface Modelled {
  states: Set<State>;
  file: string;
  memory: string;
  autoPause?: boolean;
  withVolume?: boolean;
}

/** How a question ended: answered, refused with a status, failed with something else, or cut off by the node's death. */
export type Outcome = { kind: 'ok' } | { kind: 'failed'; status: number; error: unknown } | { kind: 'cut' };

/** What the sandboxes are, or those that are in a state that they cannot be in. */
export function observe(
  listed: readonly Sandbox[],
  models: ReadonlyMap<string, Modelled>,
): Map<string, Expected> | string[] {
  const found = new Map(listed.map((sandbox) => [idOf(sandbox), stateOf(sandbox)]));
  const expected = new Map<string, Expected>();
  const wrong: string[] = [];
  for (const id of found.keys()) if (!models.has(id)) wrong.push(`sandbox ${id} is nobody's`);
  for (const [id, { states, file, memory }] of models) {
    const state = found.get(id) ?? 'gone';
    if (!states.has(state as State))
      wrong.push(`${id} is ${state} where it may be ${[...states].join(' or ')}`);
    else if (state === 'running' || state === 'paused') expected.set(id, { state, file, memory });
  }
  return wrong.length > 0 ? wrong : expected;
}

/** What was found holds from now on. */
export function decide(models: Map<string, Modelled>, found: ReadonlyMap<string, Expected>): void {
  for (const [id, model] of [...models]) {
    const state = found.get(id)?.state;
    if (state) model.states = new Set([state]);
    else models.delete(id);
  }
}

function stateOf({ state }: Sandbox): string {
  return (SandboxState[state] ?? '').toLowerCase();
}
