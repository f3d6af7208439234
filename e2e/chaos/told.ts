import type { Sandbox } from 'e2b';

export type State = 'running' | 'paused' | 'gone';

/** Two moments, Unix ms. */
export interface Span {
  from: number;
  to: number;
}

/**
 * What its client was told of one sandbox, and so may rely on. A call that is under way widens it to what was before and
 * what will be; its answer narrows it again. What no answer has come to is left out.
 */
export interface Told {
  id: string;
  /** For calls while it runs; of this run of Islet only, since the next one listens elsewhere. */
  sandbox: Sandbox | undefined;
  /** Each it may be in. */
  states: Set<State>;
  endsAt: Span;
  onTimeout: 'kill' | 'pause';
  /** Its client leaves it alone until its time is over. */
  isShort: boolean;
  files: Map<string, string>;
  /** Lines of LOG that are surely there, in this order; others may stand between them. */
  lines: string[];
  /** A process that was started in it. */
  process: number | undefined;
}

export const LOG = '/home/user/log';

/** How late a sandbox may end, ms: a pause takes 3 s of a young one, and the machine is busy. */
const LATEST_END_MS = 20_000;

/** The states that a sandbox may be in between two moments: its own time goes on meanwhile, also while no Islet runs. */
export function statesWithin({ states, endsAt, onTimeout }: Told, { from, to }: Span): Set<State> {
  const possible = new Set(states);
  if (!states.has('running') || endsAt.from > to) return possible;
  possible.add(onTimeout === 'pause' ? 'paused' : 'gone');
  if (endsAt.to + LATEST_END_MS < from) possible.delete('running');
  return possible;
}

/** Whether the lines are all there, in their order. */
export function holdsInOrder(text: string, lines: readonly string[]): boolean {
  let next = 0;
  for (const line of text.split('\n')) if (line === lines[next]) next++;
  return next === lines.length;
}
