import { IsletError, nodeStopping, placementFailed, sandboxNotFound } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';

/** What is being started for longer than this waits for its own sandbox and not for the host, ms. */
const BUSY_MS = 2_000;

export interface StartsOptions {
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

/** The starts of machines for sandboxes that are under way. */
export class Starts {
  readonly #options: StartsOptions;
  /** By sandbox, since when, Unix ms. */
  readonly #underWay = new Map<string, number>();
  /** Of paused sandboxes. */
  readonly #resumes = new Map<string, AbortController>();
  #isClosed = false;

  constructor(options: StartsOptions) {
    this.#options = options;
  }

  /** Sandboxes whose start is under way. */
  get sandboxIds(): string[] {
    return [...this.#underWay.keys()];
  }

  /** True while the host is busy with starts: what nobody waits for comes later. */
  get isBusy(): boolean {
    const { now } = this.#options;
    return [...this.#underWay.values()].some((since) => now() - since < BUSY_MS);
  }

  /** Refuses all that come from now on. */
  close(): void {
    this.#isClosed = true;
  }

  /** Ends the resume of a sandbox if one is under way: its machine may take long to answer. */
  giveUpResume(sandboxId: string): void {
    this.#resumes.get(sandboxId)?.abort();
  }

  /**
   * Starts a new sandbox's machine.
   * @throws IsletError: whatever the driver throws reaches clients as a failed placement
   */
  async new<T>(sandboxId: string, start: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw nodeStopping();
    this.#underWay.set(sandboxId, this.#options.now());
    try {
      return await start();
    } catch (error) {
      if (error instanceof IsletError) throw error;
      this.#options.logger.error({ err: error, sandboxId }, 'a sandbox could not be started');
      const cause = error instanceof Error ? error.message : String(error);
      throw placementFailed(500, cause, 'sandbox_create_failed', error);
    } finally {
      this.#underWay.delete(sandboxId);
    }
  }

  /**
   * Starts a paused sandbox's machine, unless it is given up.
   * @throws IsletError as `new`
   */
  resume<T>(sandboxId: string, start: (givenUp: AbortSignal) => Promise<T>): Promise<T> {
    return this.new(sandboxId, async () => {
      const resume = new AbortController();
      this.#resumes.set(sandboxId, resume);
      try {
        return await start(resume.signal);
      } catch (error) {
        throw resume.signal.aborted ? sandboxNotFound(sandboxId) : error;
      } finally {
        this.#resumes.delete(sandboxId);
      }
    });
  }
}
