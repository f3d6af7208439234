import type { Logger } from '@islet/telemetry';
import { orAborted } from './or-aborted.ts';

/** Errands under way: one that takes long does not keep all others. */
const AT_ONCE = 2;
const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 30_000;

/** What is to be done at the store. It is done again if it fails, and may have been done in part before. */
export type Errand = (signal: AbortSignal) => Promise<void>;

interface Pending {
  errand: Errand;
  /** Called when this errand, or a later one in its place, is done. */
  waiting: (() => void)[];
  /** How long to wait after the next failure, ms. */
  backoffMs: number;
}

/**
 * What a node has to do at the store behind its answers: some errands at a time, the oldest first, each again until it is done. In
 * memory only: the next process finds out by itself what is left to do.
 */
export class Outgoing {
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  readonly #pending = new Map<string, Pending>();
  readonly #underWay = new Map<string, { work: Promise<void>; stop: AbortController }>();
  /** Failed, and tried again after a while. */
  readonly #resting = new Map<string, { failed: Pending; timer: NodeJS.Timeout }>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Takes the place of what is to be done for a key; what has begun for it ends first. */
  add(key: string, errand: Errand): void {
    this.#add(key, { errand, waiting: [], backoffMs: FIRST_BACKOFF_MS });
  }

  /** As `add`, and waits until it is done. @throws the signal's reason if that comes before */
  async done(key: string, errand: Errand, signal: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([signal, this.#stop.signal]);
    ended.throwIfAborted();
    const done = new Promise<void>((resolve) => {
      this.#add(key, { errand, waiting: [resolve], backoffMs: FIRST_BACKOFF_MS });
    });
    await orAborted(done, ended);
  }

  /** Keeps what is to be done for a key from being done for a while, ms. When this returns, nothing of it is under way. */
  async hold(key: string, forMs: number): Promise<void> {
    const underWay = this.#underWay.get(key);
    underWay?.stop.abort(new Error('it is not to be done now'));
    await underWay?.work;
    const pending = this.#pending.get(key) ?? this.#resting.get(key)?.failed;
    if (!pending || this.#stop.signal.aborted) return;
    this.#pending.delete(key);
    clearTimeout(this.#resting.get(key)?.timer);
    this.#rest(key, pending, forMs);
  }

  /** Leaves the rest undone. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the node stops'));
    for (const { timer } of this.#resting.values()) clearTimeout(timer);
    await Promise.all([...this.#underWay.values()].map(({ work }) => work));
  }

  #add(key: string, added: Pending): void {
    if (this.#stop.signal.aborted) return;
    const resting = this.#resting.get(key);
    clearTimeout(resting?.timer);
    this.#resting.delete(key);
    const waiting = [...(resting?.failed.waiting ?? []), ...(this.#pending.get(key)?.waiting ?? [])];
    this.#pending.set(key, { ...added, waiting: [...waiting, ...added.waiting] });
    this.#next();
  }

  #next(): void {
    for (const [key, pending] of this.#pending) {
      if (this.#underWay.size >= AT_ONCE || this.#stop.signal.aborted) return;
      if (this.#underWay.has(key)) continue;
      this.#pending.delete(key);
      const stop = new AbortController();
      const work = this.#run(key, pending, AbortSignal.any([stop.signal, this.#stop.signal])).finally(() => {
        this.#underWay.delete(key);
        this.#next();
      });
      this.#underWay.set(key, { work, stop });
    }
  }

  async #run(key: string, pending: Pending, signal: AbortSignal): Promise<void> {
    try {
      await pending.errand(signal);
      for (const resolve of pending.waiting) resolve();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (!signal.aborted) {
        this.#logger.warn({ err: error, key }, 'the store has not taken something: it is tried again');
      }
      this.#again(key, pending);
    }
  }

  #again(key: string, failed: Pending): void {
    const newer = this.#pending.get(key);
    if (newer) {
      newer.waiting.push(...failed.waiting);
      return;
    }
    this.#rest(key, failed, failed.backoffMs);
  }

  #rest(key: string, failed: Pending, forMs: number): void {
    const backoffMs = Math.min(failed.backoffMs * 2, LONGEST_BACKOFF_MS);
    const timer = setTimeout(() => {
      this.#resting.delete(key);
      this.#add(key, { ...failed, backoffMs });
    }, forMs);
    this.#resting.set(key, { failed, timer });
  }
}
