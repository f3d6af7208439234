/** What the API was asked for, and which event tells of it. */
export type Operation = 'created' | 'paused' | 'resumed' | 'killed';

export interface ToldEvent {
  id: string;
  sandbox: string;
  type: string;
}

export interface Verdict {
  /** Calls that were answered with success. */
  acknowledged: number;
  /** Calls of sandboxes that are known, to which no answer came: they may have happened. */
  unanswered: number;
  events: number;
  /** Sandboxes that were there and are not, though nobody has killed them. */
  lost: string[];
  /** Acknowledged and not told. */
  missing: number;
  /** Told twice under one id. */
  twice: number;
  /** Told more often than it can have happened. */
  tooMany: number;
  /** The first of them, for people. */
  examples: string[];
}

interface Counts {
  sure: number;
  possible: number;
}

const MOST_EXAMPLES = 5;

/** Counts what was acknowledged, and holds it against what is told. */
export class Ledger {
  /** By sandbox and operation. */
  readonly #counts = new Map<string, Counts>();
  readonly #lost: string[] = [];

  acknowledged(sandbox: string, operation: Operation): void {
    const counts = this.#of(sandbox, operation);
    counts.sure++;
    counts.possible++;
  }

  unanswered(sandbox: string, operation: Operation): void {
    this.#of(sandbox, operation).possible++;
  }

  lost(sandbox: string): void {
    this.#lost.push(sandbox);
  }

  judge(events: readonly ToldEvent[]): Verdict {
    const told = new Map<string, number>();
    for (const { sandbox, type } of events) {
      told.set(`${sandbox} ${type}`, (told.get(`${sandbox} ${type}`) ?? 0) + 1);
    }
    const [counts, examples] = [[...this.#counts], [] as string[]];
    let [missing, tooMany] = [0, 0];
    for (const [what, { sure, possible }] of counts) {
      const times = told.get(what) ?? 0;
      missing += Math.max(sure - times, 0);
      tooMany += Math.max(times - possible, 0);
      if (times < sure || times > possible) examples.push(`${what}: ${times}, not ${sure} to ${possible}`);
    }
    return {
      acknowledged: counts.reduce((sum, [, { sure }]) => sum + sure, 0),
      unanswered: counts.reduce((sum, [, { sure, possible }]) => sum + possible - sure, 0),
      ...{ events: events.length, lost: [...this.#lost], missing, tooMany },
      twice: events.length - new Set(events.map(({ id }) => id)).size,
      examples: examples.slice(0, MOST_EXAMPLES),
    };
  }

  #of(sandbox: string, operation: Operation): Counts {
    const key = `${sandbox} ${operation}`;
    const counts = this.#counts.get(key) ?? { sure: 0, possible: 0 };
    this.#counts.set(key, counts);
    return counts;
  }
}
