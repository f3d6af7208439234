import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { pauseFor, type templateProto } from '@islet/contracts';
import {
  type Database,
  failBuilds,
  finishBuild,
  listUnfinishedBuilds,
  type PlacedBuild,
  type UnfinishedBuild,
} from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { Node } from '../../nodes/node.ts';
import { isNotFound } from '../../nodes/node-call.ts';
import type { NodeRegistry } from '../../nodes/registry.ts';

export interface BuildsOptions {
  db: Database;
  nodes: Pick<NodeRegistry, 'given' | 'built'>;
  logger: Logger;
  /** Called when a template's tags name other builds than before. */
  onReady: () => Promise<void>;
}

/** First and longest pause before the template manager is asked again after the connection to it was lost. */
const RETRY_MS = { first: 200, longest: 5_000 };
/** How often it is looked for builds that another control plane began, ms: it may have ended since. */
const LOOK_MS = 5_000;

/** Longest wait until nothing of a cancelled build runs. */
const CANCEL_TIMEOUT_MS = 30_000;

/**
 * Runs after builds: writes down how each one that a template manager works on ends. All control planes run after all
 * builds, so that any of them may go; who is first writes it down.
 */
export class Builds {
  readonly #options: BuildsOptions;
  readonly #followed = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();
  #looking: Promise<void> | undefined;

  constructor(options: BuildsOptions) {
    this.#options = options;
    // One for each build under way.
    setMaxListeners(0, this.#closing.signal);
  }

  /**
   * Follows the builds that are under way, those of other control planes from now on, and frees those of deleted
   * templates.
   */
  async resume(): Promise<void> {
    const { db } = this.#options;
    const unfinished = await listUnfinishedBuilds(db);
    this.#followAll(unfinished);
    // Nobody else begins builds in a database of one process.
    if (db.kind !== 'pglite') this.#looking = this.#keepLooking();
    void this.discard(unfinished.filter(({ templateDeleted }) => templateDeleted));
  }

  /** Follows the builds that any control plane has begun. */
  async look(): Promise<void> {
    this.#followAll(await listUnfinishedBuilds(this.#options.db));
  }

  /**
   * Follows a build that the template manager was given; does nothing if it is followed already.
   * @param isBeginning it may not have been given it yet: if it does not know the build, nothing is said of that
   */
  follow(build: PlacedBuild, { isBeginning = false } = {}): void {
    const buildId = build.id;
    if (this.#followed.has(buildId) || this.#closing.signal.aborted) return;
    const following = this.#untilEnd(build, isBeginning)
      .catch((error: unknown) => {
        if (this.#closing.signal.aborted) return;
        this.#options.logger.error({ err: error, buildId }, 'cannot follow a build any longer');
      })
      .finally(() => this.#followed.delete(buildId));
    this.#followed.set(buildId, following);
  }

  /**
   * Ends a build, whatever it is at; nothing of it runs when this returns. The template manager first: a build that
   * only the database knows to have ended would be gone on with after a crash, for nobody.
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

  /**
   * Frees what the template manager keeps of builds of a deleted template. What fails is logged; what still runs then
   * is freed at the next start.
   */
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

  /** Builds that are under way. */
  get followed(): number {
    return this.#followed.size;
  }

  /** Waits until none is followed any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#followed.values());
  }

  /** Stops following; the builds go on. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#looking, ...this.#followed.values()]);
  }

  #followAll(unfinished: readonly UnfinishedBuild[]): void {
    const isShared = this.#options.db.kind !== 'pglite';
    for (const build of unfinished) {
      if (build.status === 'building') this.follow(build, { isBeginning: isShared && build.isBeginning });
    }
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      await pauseFor(LOOK_MS, signal);
      if (signal.aborted) return;
      await this.look().catch((error: unknown) =>
        this.#options.logger.warn({ err: error }, 'cannot look for builds of other control planes'),
      );
    }
  }

  async #untilEnd({ id: buildId, nodeId }: PlacedBuild, isBeginning: boolean): Promise<void> {
    const { signal } = this.#closing;
    const interrupt = async () => {
      // The next look asks again.
      if (isBeginning) return;
      const message = 'the build was interrupted before it began: build the template again';
      await this.#fail(buildId, { message, step: '' });
    };
    for (let pause = RETRY_MS.first; ; pause = Math.min(pause * 2, RETRY_MS.longest)) {
      try {
        const node = this.#options.nodes.given(nodeId);
        if (!node) return await interrupt();
        if (await this.#watch(buildId, node)) return;
      } catch (error) {
        signal.throwIfAborted();
        if (isNotFound(error)) return await interrupt();
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
        await onReady();
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
