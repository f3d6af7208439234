import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { templateProto } from '@islet/contracts';
import { type Database, failBuilds, finishBuild, listUnfinishedBuilds } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { TemplateManagerClient } from '../../deps.ts';

export interface BuildsOptions {
  db: Database;
  templateManager: TemplateManagerClient;
  logger: Logger;
  /** Called when a template's tags name other builds than before. */
  onReady: () => void;
}

/** First and longest pause before the template manager is asked again after the connection to it was lost. */
const RETRY_MS = { first: 200, longest: 5_000 };
/** Longest wait until nothing of a cancelled build runs. */
const CANCEL_TIMEOUT_MS = 30_000;

/** Runs after builds: writes down how each one that the template manager works on ends. */
export class Builds {
  readonly #options: BuildsOptions;
  readonly #followed = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: BuildsOptions) {
    this.#options = options;
    // One for each build under way.
    setMaxListeners(0, this.#closing.signal);
  }

  /** Follows the builds that were under way when the process before this one ended, and frees those of deleted templates. */
  async resume(): Promise<void> {
    const unfinished = await listUnfinishedBuilds(this.#options.db);
    for (const { id, status } of unfinished) if (status === 'building') this.follow(id);
    void this.discard(unfinished.flatMap(({ id, templateDeleted }) => (templateDeleted ? [id] : [])));
  }

  /** Follows a build that the template manager was given; does nothing where it is followed already. */
  follow(buildId: string): void {
    if (this.#followed.has(buildId) || this.#closing.signal.aborted) return;
    const following = this.#untilEnd(buildId)
      .catch((error: unknown) => {
        if (this.#closing.signal.aborted) return;
        this.#options.logger.error({ err: error, buildId }, 'cannot follow a build any longer');
      })
      .finally(() => this.#followed.delete(buildId));
    this.#followed.set(buildId, following);
  }

  /**
   * Ends a build, whatever it is at; nothing of it runs when this returns. The template manager first: a build that only the
   * database knows to have ended would be gone on with after a crash, for nobody.
   */
  async cancel(buildId: string, reason: string): Promise<void> {
    const { db, templateManager } = this.#options;
    await templateManager.cancelBuild({ buildId, reason }, { timeoutMs: CANCEL_TIMEOUT_MS });
    await failBuilds(db, [buildId], { message: reason });
  }

  /** Frees what the template manager keeps of builds of a deleted template. What fails is logged; what still runs then is freed at the next start. */
  async discard(buildIds: readonly string[]): Promise<void> {
    const { templateManager, logger } = this.#options;
    for (const buildId of buildIds) {
      try {
        await this.cancel(buildId, 'the template was deleted');
        await templateManager.deleteBuild({ buildId }, { timeoutMs: CANCEL_TIMEOUT_MS });
      } catch (error) {
        logger.warn({ err: error, buildId }, 'cannot free a build of a deleted template');
      }
    }
  }

  /** Stops following; the builds go on. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#followed.values());
  }

  async #untilEnd(buildId: string): Promise<void> {
    const { signal } = this.#closing;
    for (let pause = RETRY_MS.first; ; pause = Math.min(pause * 2, RETRY_MS.longest)) {
      try {
        if (await this.#watch(buildId, signal)) return;
      } catch (error) {
        signal.throwIfAborted();
        if (ConnectError.from(error).code === Code.NotFound) {
          await this.#fail(buildId, {
            message: 'the build was interrupted before it began: build the template again',
            step: '',
          });
          return;
        }
        this.#options.logger.warn({ err: error, buildId }, 'lost sight of a build, asking again');
      }
      await sleep(pause, undefined, { signal });
    }
  }

  /** True once the build has ended. */
  async #watch(buildId: string, signal: AbortSignal): Promise<boolean> {
    const { db, templateManager, onReady } = this.#options;
    for await (const { state } of templateManager.watchBuild({ buildId }, { signal })) {
      if (state.case === 'failure') {
        await this.#fail(buildId, state.value);
        return true;
      }
      if (state.case === 'ready') {
        const { envdVersion, diskSizeMb, defaultUser, defaultWorkdir } = state.value;
        await finishBuild(db, buildId, { envdVersion, diskSizeMb, defaultUser, defaultWorkdir });
        onReady();
        return true;
      }
    }
    return false;
  }

  async #fail(buildId: string, failure: Pick<templateProto.Failure, 'message' | 'step'>): Promise<void> {
    const { message, step } = failure;
    await failBuilds(this.#options.db, [buildId], { message, step: step || undefined });
  }
}
