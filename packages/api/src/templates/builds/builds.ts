import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { templateProto } from '@islet/contracts';
import { type Database, failBuilds, finishBuild, listUnfinishedBuilds, type PlacedBuild } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { Node } from '../../nodes/node.ts';
import type { NodeRegistry } from '../../nodes/registry.ts';

export interface BuildsOptions {
  db: Database;
  nodes: NodeRegistry;
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
    for (const build of unfinished) if (build.status === 'building') this.follow(build);
    void this.discard(unfinished.filter(({ templateDeleted }) => templateDeleted));
  }

  /** Follows a build that the template manager was given; does nothing if it is followed already. */
  follow(build: PlacedBuild): void {
    const buildId = build.id;
    if (this.#followed.has(buildId) || this.#closing.signal.aborted) return;
    const following = this.#untilEnd(build)
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
  async cancel({ id: buildId, nodeId }: PlacedBuild, reason: string): Promise<void> {
    const { db, nodes } = this.#options;
    await nodes
      .given(nodeId)
      ?.call(CANCEL_TIMEOUT_MS, ({ templates }, options) =>
        templates.cancelBuild({ buildId, reason }, options),
      );
    await failBuilds(db, [buildId], { message: reason });
  }

  /** Frees what the template manager keeps of builds of a deleted template. What fails is logged; what still runs then is freed at the next start. */
  async discard(builds: readonly PlacedBuild[]): Promise<void> {
    const { nodes, logger } = this.#options;
    for (const build of builds) {
      const buildId = build.id;
      try {
        await this.cancel(build, 'the template was deleted');
        await nodes
          .given(build.nodeId)
          ?.call(CANCEL_TIMEOUT_MS, ({ templates }, options) => templates.deleteBuild({ buildId }, options));
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

  async #untilEnd({ id: buildId, nodeId }: PlacedBuild): Promise<void> {
    const { signal } = this.#closing;
    const interrupted = {
      message: 'the build was interrupted before it began: build the template again',
      step: '',
    };
    for (let pause = RETRY_MS.first; ; pause = Math.min(pause * 2, RETRY_MS.longest)) {
      try {
        const node = this.#options.nodes.given(nodeId);
        if (!node) return await this.#fail(buildId, interrupted);
        if (await this.#watch(buildId, node)) return;
      } catch (error) {
        signal.throwIfAborted();
        if (ConnectError.from(error).code === Code.NotFound) {
          return await this.#fail(buildId, interrupted);
        }
        this.#options.logger.warn({ err: error, buildId }, 'lost sight of a build, asking again');
      }
      await sleep(pause, undefined, { signal });
    }
  }

  /** True once the build has ended. */
  async #watch(buildId: string, node: Node): Promise<boolean> {
    const { db, nodes, onReady } = this.#options;
    const signal = AbortSignal.any([this.#closing.signal, node.presence]);
    for await (const { state } of node.link.templates.watchBuild({ buildId }, { signal })) {
      if (state.case === 'failure') {
        await this.#fail(buildId, state.value);
        return true;
      }
      if (state.case === 'ready') {
        const { envdVersion, diskSizeMb, defaultUser, defaultWorkdir } = state.value;
        await finishBuild(db, buildId, { envdVersion, diskSizeMb, defaultUser, defaultWorkdir });
        nodes.built(buildId, node);
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
