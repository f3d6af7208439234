import type { Logger } from '@islet/telemetry';

export interface ReportsOptions {
  nodeId: string;
  logger: Logger;
  /** Has the node report now. */
  ask: () => void;
  /** Whether it would be of use to write what others share. */
  storeAnswers: () => Promise<boolean>;
}

/** Before a node is asked again for what could not be written, ms: twice as long after each time in vain, up to `most`. */
const OWED_MS = { least: 200, most: 3_000 };

/** Which reports of a node are waited for, and which are owed since something that it said was not written where others read it. */
export class Reports implements Disposable {
  readonly #options: ReportsOptions;
  /** Counts how often it was asked for a report, and for which of these times the present one is. */
  #asked = 0;
  #askedNow = 0;
  readonly #awaiting = new Set<{ asked: number; done: () => void }>();
  #owedMs = OWED_MS.least;
  #owed: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  /** Resolves when all that the node says of itself is written where others read it, from its next whole report on. */
  next(): Promise<void> {
    return new Promise((done) => this.#awaiting.add({ asked: this.#asked, done }));
  }

  /** Has the node report anew; resolves as `next`, or when it does not answer any more. */
  anew(): Promise<void> {
    this.#asked++;
    const reported = this.next();
    this.#options.ask();
    return reported;
  }

  /** The node is asked now. */
  asking(): void {
    this.#askedNow = this.#asked;
  }

  /** It has reported. Resolves when that is written. @param report resolves to whether all of it could be written */
  async take(report: Promise<boolean>): Promise<void> {
    const asked = this.#askedNow;
    if (!(await report)) return;
    this.#owedMs = OWED_MS.least;
    this.#settle((awaiting) => awaiting.asked <= asked);
  }

  /** The node does not answer. With the first report it is still waited for, however long it is gone. */
  gone(): void {
    this.#settle(({ asked }) => asked > 0);
  }

  /** Something that it said was not written where others read it: asks for a report once that is of use. */
  owe(error: unknown): void {
    if (this.#owed) return;
    const { logger, nodeId } = this.#options;
    logger.warn({ err: error, nodeId }, 'not all that a node says was written down, asking it again');
    this.#payLater();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#owed);
  }

  #payLater(): void {
    if (this.#isOver) return;
    this.#owed = setTimeout(() => {
      this.#owed = undefined;
      void this.#pay();
    }, this.#owedMs).unref();
    this.#owedMs = Math.min(this.#owedMs * 2, OWED_MS.most);
  }

  async #pay(): Promise<void> {
    if (await this.#options.storeAnswers()) this.#options.ask();
    else this.#payLater();
  }

  #settle(isOver: (awaiting: { asked: number }) => boolean): void {
    for (const awaiting of this.#awaiting) {
      if (!isOver(awaiting)) continue;
      this.#awaiting.delete(awaiting);
      awaiting.done();
    }
  }
}
