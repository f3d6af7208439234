export type State = 'running' | 'paused' | 'gone';

/** Two moments, Unix ms. */
export interface Span {
  from: number;
  to: number;
}

/**
 * What its client was told of one sandbox, and so may rely on. A call that is under way widens it to what was before and what will
 * be; its answer narrows it again, and one that fails leaves it wide.
 */
export interface Told {
  readonly id: string;
  /** Its own, which its daemon asks for. */
  readonly token: string | undefined;
  /** Each it may be in. */
  states: Set<State>;
  /**
   * What calls that had no answer were to make of it. One that was given up may be on its way still, as when a cable was pulled, and be
   * carried out when the cable is back.
   */
  late: State[];
  /** When its time is over. */
  endsAt: Span;
  onTimeout: 'kill' | 'pause';
  /** Its client leaves it alone until its time is over. */
  isShort: boolean;
  /** A call to it is under way. */
  isBusy: boolean;
  /** By path, each content that it may have. A write that failed leaves `UNKNOWN`. */
  files: Map<string, Set<string | typeof UNKNOWN>>;
  /** What its counter is at: at least what was answered last, at most what was asked for in all. */
  count: { least: number; most: number };
}

/** Stands for any content. */
export const UNKNOWN = Symbol('any content');

export function newTold(
  key: Pick<Told, 'id' | 'token'>,
  life: Pick<Told, 'endsAt' | 'onTimeout' | 'isShort'>,
): Told {
  return {
    ...{ ...key, ...life, states: new Set(['running']), late: [], isBusy: false },
    ...{ files: new Map(), count: { least: 0, most: 0 } },
  };
}

/** Each state that it may be in between two moments: its own time goes on, whatever is broken. */
export function statesWithin({ states, endsAt, onTimeout }: Told, { to }: Span): Set<State> {
  const possible = new Set(states);
  if (states.has('running') && endsAt.from <= to) possible.add(onTimeout === 'pause' ? 'paused' : 'gone');
  return possible;
}

/** Whether it runs for sure, so that it takes a place of its team's. */
export function surelyRuns(told: Told, now: number): boolean {
  return told.states.size === 1 && told.states.has('running') && !told.isBusy && now < told.endsAt.from;
}

/** A call whose answer says that the sandbox is in another state. @returns what the call gives */
export async function becoming<T>(told: Told, state: State, call: () => Promise<T>): Promise<T> {
  told.states.add(state);
  told.late.push(state);
  const answer = await call();
  told.late.splice(told.late.indexOf(state), 1);
  told.states = new Set([state, ...told.late]);
  return answer;
}

/** A call whose answer says that the sandbox ends so long after it. */
export async function endingIn<T>(told: Told, timeoutMs: number, call: () => Promise<T>): Promise<T> {
  const from = Date.now() + timeoutMs;
  told.endsAt = { from: Math.min(told.endsAt.from, from), to: Math.max(told.endsAt.to, from + timeoutMs) };
  const answer = await call();
  told.endsAt = { from, to: Date.now() + timeoutMs };
  return answer;
}

/** The machine that it ran on is dead. If it is there again, it is as it was when it was paused last. */
export function lost(told: Told): void {
  told.states.add('gone');
  told.states.add('paused');
  told.files.clear();
  told.count.least = 0;
}

/** What a fork of it begins with. */
export function forked(told: Told, key: Pick<Told, 'id' | 'token'>, endsAt: Span): Told {
  const files = new Map([...told.files].map(([path, contents]) => [path, new Set(contents)]));
  return { ...newTold(key, { endsAt, onTimeout: 'kill', isShort: false }), files, count: { ...told.count } };
}

export const BREACHES = ['lost', 'twice', 'limit', 'left', 'wrong'] as const;

/** Something that must never be. It is the product's fault, or the model's. */
export class Broken extends Error {
  readonly kind: (typeof BREACHES)[number];

  constructor(kind: Broken['kind'], message: string, cause?: unknown) {
    super(`${kind}: ${message}`, cause === undefined ? undefined : { cause });
    this.name = 'Broken';
    this.kind = kind;
  }
}
