import { setMaxListeners } from 'node:events';
import type { Hearings } from '@islet/catalog';
import { IsletError, nodeUnavailable, orchestratorProto, type Sandbox } from '@islet/contracts';
import type { Standing } from '@islet/db';
import type { DiscoveredNode } from './discovery.ts';
import type { NodeLink } from './link.ts';
import { nodeError } from './node-call.ts';
import { NodeSandboxes, type NodeSandboxesOptions } from './node-sandboxes.ts';
import { NodeWatch } from './node-watch.ts';
import type { NodeIdentity, NodeStatus, PlacementNode, Resources } from './placement.ts';
import { Reports } from './reports.ts';
import { NodeSilence } from './silence.ts';
import type { NodeStandings } from './standings.ts';

export type NodeFacts = orchestratorProto.GetNodeResponse;

/** What a call to a node has to pass on: it ends with the time, or with the node. */
export interface NodeCallOptions {
  /** Whole milliseconds; 0: none. */
  timeoutMs: number;
  signal: AbortSignal;
}

export type NodeCall<T> = (link: NodeLink, options: NodeCallOptions) => Promise<T>;

export interface NodeOptions extends Omit<NodeSandboxesOptions, 'nodeId' | 'link' | 'onOwed'> {
  /** The node has told of itself anew, builds included. */
  onReport: (node: Node, builds: readonly string[]) => void;
  standings: Pick<NodeStandings, 'of'>;
  /** After so long a silence what ran on a node in another process counts as lost, ms. */
  lossAfterMs: number;
  /** What other control planes hear of nodes. Absent: there are none. */
  hearings: Hearings | undefined;
}

/** Of questions about the node itself, or what lives there. */
const FACTS_TIMEOUT_MS = 5_000;
/** How often it is looked whether routes are to be renewed, ms. */
const RENEWAL_CHECK_MS = 60_000;
/** Before the next try to remove what is left of what ran on a lost node, ms. */
const SWEEP_AGAIN_MS = 3_000;
const MIB = 1024 * 1024;

/** One node: its link, what is known of it, and what lives there. */
export class Node implements PlacementNode, AsyncDisposable {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly sandboxes: NodeSandboxes;
  readonly silence: NodeSilence;
  readonly #options: NodeOptions;
  readonly #link: NodeLink;
  readonly #watch: NodeWatch;
  readonly #renewal: NodeJS.Timeout;
  readonly #starting: Resources = { cpuCount: 0, memoryMb: 0 };
  readonly #background = new Set<Promise<void>>();
  #status: NodeStatus = 'connecting';
  #facts: NodeFacts | undefined;
  #sweep: NodeJS.Timeout | undefined;
  /** Aborted once the node counts as gone; another one follows when it is back. */
  #presence = presence();
  readonly #reports: Reports;

  constructor({ id, labels, link }: DiscoveredNode, options: NodeOptions) {
    this.id = id;
    this.labels = labels;
    this.#options = options;
    this.#link = link;
    const logger = options.logger.child({ nodeId: id });
    this.sandboxes = new NodeSandboxes({
      ...{ ...options, logger, nodeId: id, link },
      onOwed: (error) => this.#reports.owe(error),
    });
    this.silence = new NodeSilence({
      ...{ ...options, nodeId: id },
      onLoss: (sinceMs) => {
        this.#told(this.sandboxes.lose(sinceMs));
        this.#inBackground(this.#sweepLost());
      },
    });
    this.#reports = new Reports({
      ...{ nodeId: id, logger },
      ask: () => this.#watch.askAgain(),
      storeAnswers: () => this.sandboxes.storeAnswers(),
    });
    this.#renewal = setInterval(() => this.#renew(), RENEWAL_CHECK_MS).unref();
    this.#watch = new NodeWatch({
      nodeId: id,
      link,
      logger,
      onAsking: () => {
        this.#reports.asking();
        return this.sandboxes.expectReport();
      },
      onEvent: (event) => this.#take(event),
      onLost: (isGone) => this.#lost(isGone),
    });
  }

  get status(): NodeStatus {
    return this.#status;
  }

  /** What its operator said of it. */
  get standing(): Standing {
    return this.#options.standings.of(this.id);
  }

  /** It has been silent for so long that what ran there counts as lost. */
  get isLost(): boolean {
    return this.silence.isLost;
  }

  get isOpen(): boolean {
    return this.standing === 'ready';
  }

  /** What it last said of itself. */
  get lastFacts(): NodeFacts | undefined {
    return this.#facts;
  }

  get identity(): NodeIdentity | undefined {
    if (!this.#facts) return undefined;
    const { isolation, runtimeDigest, processor } = this.#facts;
    const { architecture = '', family = '', model = '' } = processor ?? {};
    return { isolation, runtime: runtimeDigest, cpu: `${architecture}/${family}/${model}` };
  }

  get capacity(): Resources | undefined {
    if (!this.#facts) return undefined;
    const { cpuCount, memoryTotalBytes } = this.#facts;
    return { cpuCount, memoryMb: memoryTotalBytes / MIB };
  }

  get taken(): Resources {
    const { cpuCount, memoryMb } = this.sandboxes.taken;
    return {
      cpuCount: cpuCount + this.#starting.cpuCount,
      memoryMb: memoryMb + this.#starting.memoryMb,
    };
  }

  /** Resolves when all that it says of itself is written where others read it, from its next whole report on. */
  reported(): Promise<void> {
    return this.#reports.next();
  }

  /** Has it tell anew what lives there; resolves as `reported`, or when it does not answer any more. */
  tellAnew(): Promise<void> {
    return this.#reports.anew();
  }

  /** Counts what is being started here as taken until it is disposed of. */
  starting({ cpuCount, memoryMb }: Resources): Disposable {
    this.#starting.cpuCount += cpuCount;
    this.#starting.memoryMb += memoryMb;
    return {
      [Symbol.dispose]: () => {
        this.#starting.cpuCount -= cpuCount;
        this.#starting.memoryMb -= memoryMb;
      },
    };
  }

  /**
   * Calls the node. What it answers for clients passes through; failures of the way there or of the node itself are told
   * without inner details.
   * @throws IsletError 503 with `sandbox_node_unavailable` if the node is gone, or goes while the call is under way
   */
  async call<T>(timeoutMs: number, use: NodeCall<T>): Promise<T> {
    try {
      return await this.callAsIs(timeoutMs, use);
    } catch (error) {
      throw nodeError(error);
    }
  }

  /** As `call`, with the errors that the link gives. */
  async callAsIs<T>(timeoutMs: number, use: NodeCall<T>): Promise<T> {
    const { signal } = this.#presence;
    if (signal.aborted) throw nodeUnavailable();
    try {
      return await use(this.#link, { timeoutMs, signal });
    } catch (error) {
      if (!signal.aborted) throw error;
      throw nodeUnavailable(error);
    }
  }

  /** For streams, which are to end with `presence`; everything else goes through `call`. */
  get link(): NodeLink {
    return this.#link;
  }

  /** Aborts when the node is gone. */
  get presence(): AbortSignal {
    return this.#presence.signal;
  }

  /** Asks the node for what it says of itself now. */
  async facts(): Promise<NodeFacts> {
    this.#facts = await this.call(FACTS_TIMEOUT_MS, ({ sandboxes }, options) =>
      sandboxes.getNode({}, options),
    );
    return this.#facts;
  }

  /**
   * Asks for a sandbox as it is now, and makes that known. Undefined if it is not there any more.
   * @param executionId its last run, as far as is known
   * @throws IsletError 503 if the node does not answer
   */
  async look(sandboxId: string, executionId?: string): Promise<Sandbox | undefined> {
    try {
      const { sandbox } = await this.call(FACTS_TIMEOUT_MS, ({ sandboxes }, options) =>
        sandboxes.getSandbox({ sandboxId }, options),
      );
      return await this.sandboxes.admit(sandbox);
    } catch (error) {
      if (!(error instanceof IsletError) || error.status !== 404) throw error;
      await this.sandboxes.ended(sandboxId, executionId);
      return undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#renewal);
    this.#reports[Symbol.dispose]();
    clearTimeout(this.#sweep);
    this.silence[Symbol.dispose]();
    await this.#watch[Symbol.asyncDispose]();
    this.#presence.abort();
    await Promise.all([...this.#background, this.sandboxes.settled()]);
  }

  #take(event: orchestratorProto.WatchSandboxesResponse['event']): void {
    this.silence.heard();
    switch (event.case) {
      case 'snapshot':
        this.#told(this.#reports.take(this.sandboxes.reconcile(event.value)));
        this.#back();
        break;
      case 'changed':
        this.#told(this.sandboxes.changed(event.value));
        break;
      case 'ended':
        this.#ended(event.value);
        break;
      default:
        // It lives, but did not say what it is when it was asked.
        if (!this.#facts) this.#learn();
    }
  }

  #ended({ sandbox, reason }: orchestratorProto.WatchSandboxesResponse_SandboxEnded): void {
    if (!sandbox?.config) return;
    const { sandboxId } = sandbox.config;
    const isMoved = reason === orchestratorProto.KillReason.TAKEN_OVER;
    this.#told(this.sandboxes[isMoved ? 'left' : 'ended'](sandboxId, sandbox.executionId));
  }

  #told(work: Promise<void>): void {
    this.#inBackground(work.catch((error: unknown) => this.#reports.owe(error)));
  }

  #back(): void {
    if (this.#presence.signal.aborted) this.#presence = presence();
    clearTimeout(this.#sweep);
    this.silence.back();
    this.#status = 'ready';
    this.#learn();
  }

  #lost(isGone: boolean): void {
    this.#status = isGone ? 'unhealthy' : 'connecting';
    // A node of this process ends with it.
    if (this.#link.heartbeatMs !== undefined) this.silence.broken();
    if (!isGone) return;
    this.#presence.abort();
    this.#reports.gone();
  }

  /** Removes what others read of what ran here, until that is done or the node is back. */
  async #sweepLost(): Promise<void> {
    try {
      if (this.isLost) await this.sandboxes.sweep();
    } catch (error) {
      const { logger } = this.#options;
      logger.warn(
        { err: error, nodeId: this.id },
        'the ways to what ran on a lost node are not all removed yet',
      );
      this.#sweep = setTimeout(() => this.#inBackground(this.#sweepLost()), SWEEP_AGAIN_MS).unref();
    }
  }

  /** Not for a node that does not say any more what lives there. */
  #renew(): void {
    if (this.#status !== 'ready') return;
    const { logger } = this.#options;
    this.#inBackground(
      this.sandboxes
        .renew()
        .catch((error: unknown) =>
          logger.warn({ err: error, nodeId: this.id }, 'routes were not renewed: they are at the next time'),
        ),
    );
  }

  /** It may be another program than before, with other builds. */
  #learn(): void {
    const { logger, onReport } = this.#options;
    const ask = async () => {
      await this.facts();
      const { builds } = await this.call(FACTS_TIMEOUT_MS, ({ sandboxes }, options) =>
        sandboxes.listBuilds({}, options),
      );
      const ids = builds.map(({ buildId }) => buildId);
      onReport(this, ids);
    };
    this.#inBackground(
      ask().catch((error: unknown) =>
        logger.warn({ err: error, nodeId: this.id }, 'a node does not say what it is'),
      ),
    );
  }

  #inBackground(work: Promise<void>): void {
    const tracked = work.finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}

function presence(): AbortController {
  const controller = new AbortController();
  // One for each call under way.
  setMaxListeners(0, controller.signal);
  return controller;
}
