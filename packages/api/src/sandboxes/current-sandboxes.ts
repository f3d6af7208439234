import { followRoutes, type Route, type Routes } from '@islet/catalog';
import { Deadline, nodeUnavailable, type Sandbox } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { NodeRegistry } from '../nodes/registry.ts';
import type { KnownSandboxes, TeamPage } from './known-sandboxes.ts';
import { RouteNews } from './route-news.ts';

export interface CurrentSandboxesOptions {
  /** What the nodes have told. */
  known: KnownSandboxes;
  /** What all control planes have answered for. */
  routes: Routes;
  nodes: Pick<NodeRegistry, 'find'>;
  logger: Logger;
}

/** Longest wait of a list for what other control planes have done, ms. */
const NEWS_TIMEOUT_MS = 1_000;
/** How often a sandbox is looked for that moves while it is looked for. */
const ATTEMPTS = 3;

/**
 * Sandboxes as they are now, whichever control plane has changed them last. A control plane writes the route before it
 * answers its client. So if the routes are ahead of what nodes have told this one, it asks the node, and no answer is
 * older than its question. In an installation of one the two never differ.
 */
export class CurrentSandboxes {
  readonly #options: CurrentSandboxesOptions;
  readonly #news: RouteNews;
  #following: Disposable | undefined;

  constructor(options: CurrentSandboxesOptions) {
    this.#options = options;
    this.#news = new RouteNews(options.known);
  }

  /** Hears of what other control planes do, from now on. */
  start(): void {
    const { routes, logger } = this.#options;
    this.#following = followRoutes(routes, this.#news, (error) =>
      logger.warn({ err: error }, 'lost the watch of the routes, beginning it anew'),
    );
  }

  stop(): void {
    this.#following?.[Symbol.dispose]();
  }

  /** Undefined also if it ran on a node that is lost. @throws IsletError 503 if it changed elsewhere, and its node does not answer */
  async find(sandboxId: string): Promise<Sandbox | undefined> {
    const { known, nodes } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#routeTo(sandboxId);
      const sandbox = known.get(sandboxId);
      if (!answer || isUpToDate(sandbox, answer.route)) return sandbox;
      const nodeId = answer.route?.nodeId ?? sandbox?.nodeId ?? '';
      const node = nodes.find(nodeId);
      if (!node) throw nodeUnavailable();
      if (node.isLost) return undefined;
      const found = await node.look(sandboxId, answer.route?.executionId ?? sandbox?.executionId);
      if (found || attempt === ATTEMPTS) return found;
    }
  }

  /** In the order of `compareNewestFirst`. */
  async ofTeam(teamId: string): Promise<Sandbox[]> {
    await this.#catchUp(teamId);
    return this.#options.known.ofTeam(teamId);
  }

  /** A part of a team's list, and how many of it run. */
  async pageOfTeam(teamId: string, page: TeamPage): Promise<{ sandboxes: Sandbox[]; running: number }> {
    await this.#catchUp(teamId);
    const { known } = this.#options;
    return { sandboxes: known.pageOfTeam(teamId, page), running: known.runningOfTeam(teamId) };
  }

  /** One that was made from the template, whichever team's. */
  async anyOf(templateId: string): Promise<Sandbox | undefined> {
    await this.#catchUp();
    return this.#options.known.anyOf(templateId);
  }

  /** Undefined if the routes cannot be asked, and what the nodes have told has to do. */
  async #routeTo(sandboxId: string): Promise<{ route: Route | undefined } | undefined> {
    const { routes, logger } = this.#options;
    try {
      return { route: await routes.get(sandboxId) };
    } catch (error) {
      logger.debug({ err: error, sandboxId }, 'the routes are not to be had: what nodes told is answered');
      return undefined;
    }
  }

  /**
   * Makes known what was answered for anywhere by now. Of nodes that do not answer only that is known which they have
   * told; they tell all when they are back.
   */
  async #catchUp(teamId?: string): Promise<void> {
    const { routes, logger } = this.#options;
    try {
      using deadline = new Deadline(NEWS_TIMEOUT_MS);
      await this.#news.until(await routes.mark(), deadline.signal);
    } catch (error) {
      logger.debug({ err: error }, 'what other control planes did last is not to be had');
    }
    const { nodes } = this.#options;
    const ahead = this.#news.sandboxes(teamId).filter(({ nodeId }) => nodes.find(nodeId)?.status === 'ready');
    await Promise.all(ahead.map(({ sandboxId }) => this.#settle(sandboxId)));
  }

  async #settle(sandboxId: string): Promise<void> {
    try {
      await this.find(sandboxId);
      this.#news.settled(sandboxId);
    } catch (error) {
      this.#options.logger.debug(
        { err: error, sandboxId },
        'a sandbox that changed elsewhere is not to be had',
      );
    }
  }
}

/** What is known without a route may have ended; a route without anything known may be a new one's. */
function isUpToDate(sandbox: Sandbox | undefined, route: Route | undefined): boolean {
  if (!sandbox || !route) return !sandbox && !route;
  return sandbox.revision >= route.revision;
}
