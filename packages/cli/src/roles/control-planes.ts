/** How a question is put to control planes. */
export interface Question<C, T> {
  ask: (controlPlane: C) => Promise<T>;
  /** How long one may take until another is asked as well, ms. */
  patienceMs: number;
  /** Whether an error is what it answered; else it did not, and another may. */
  isAnswer: (error: unknown) => boolean;
  /** Whether nobody else can know more. Absent: every answer will do. */
  isEnough?: (answer: T) => boolean;
}

type Outcome<T> = { answer: T } | { error: unknown };

/** Control planes that share what they know: any that answers will do. */
export class ControlPlanes<C> {
  readonly #all: readonly C[];
  /** Index of the one that answered last. */
  #preferred = 0;

  /** @param all at least one */
  constructor(all: readonly C[]) {
    this.#all = all;
  }

  /** The one after another, if there is more than one. */
  after(controlPlane: C): C {
    return this.#at(this.#all.indexOf(controlPlane) + 1);
  }

  get first(): C {
    return this.#at(0);
  }

  /**
   * Asks the one that answered last. If it does not answer, or has not in time, or knows too little, the next one is
   * asked, and so on: the first answer that is enough counts.
   * @throws what one answered, or what kept the last from answering
   */
  async ask<T>(question: Question<C, T>): Promise<T> {
    const { ask, patienceMs, isAnswer, isEnough = () => true } = question;
    const start = this.#preferred;
    const underWay = new Set<Promise<Outcome<T>>>();
    let asked = 0;
    let poor: { answer: T } | undefined;
    for (;;) {
      if (asked < this.#all.length) {
        const index = (start + asked++) % this.#all.length;
        const outcome = outcomeOf(ask(this.#at(index))).then((done) => {
          underWay.delete(outcome);
          if ('answer' in done) this.#preferred = index;
          return done;
        });
        underWay.add(outcome);
      }
      const mayAskMore = asked < this.#all.length;
      const done = await firstOf(underWay, mayAskMore ? patienceMs : undefined);
      if (!done) continue;
      if ('error' in done && isAnswer(done.error)) throw done.error;
      if ('answer' in done) {
        if (isEnough(done.answer)) return done.answer;
        poor ??= done;
      }
      if (mayAskMore || underWay.size > 0) continue;
      if (poor) return poor.answer;
      if ('error' in done) throw done.error;
    }
  }

  #at(index: number): C {
    return this.#all[index % this.#all.length] as C;
  }
}

function outcomeOf<T>(asking: Promise<T>): Promise<Outcome<T>> {
  return asking.then(
    (answer) => ({ answer }),
    (error: unknown) => ({ error }),
  );
}

/** Undefined if none is there in time. @param limitMs absent: for as long as it takes */
async function firstOf<T>(
  underWay: ReadonlySet<Promise<T>>,
  limitMs: number | undefined,
): Promise<T | undefined> {
  if (limitMs === undefined) return Promise.race(underWay);
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limitMs);
  });
  try {
    return await Promise.race([...underWay, limit]);
  } finally {
    clearTimeout(timer);
  }
}
