import { Deadline, nodeUnavailable, type Sandbox } from '@islet/contracts';
import { BuildsIndex } from './builds-index.ts';
import type { DiscoveredNode, NodeDiscovery } from './discovery.ts';
import { Node, type NodeOptions } from './node.ts';
import { type Placement, place, type Resources } from './placement.ts';
import { tellHearings } from './tell-hearings.ts';

export interface NodeRegistryOptions extends Omit<NodeOptions, 'onReport'> {
  discovery: NodeDiscovery;
  /** 0 to 1, for placement. */
  random: () => number;
}

/** What is to be started. */
export interface StartAsk extends Resources {
  /** The build that it is started from, if any, and where that was made, if it is recorded. */
  from: { buildId: string; madeOn: string | null } | undefined;
  /** The only node that will do: what it needs is there. */
  pinned?: string | undefined;
}

/** The nodes that there are, each with its live link. */
export class NodeRegistry {
  readonly #options: NodeRegistryOptions;
  readonly #nodes = new Map<DiscoveredNode, Node>();
  readonly #byId = new Map<string, Node>();
  readonly #builds = new BuildsIndex<Node>();
  readonly #leaving = new Set<Promise<void>>();
  /** In no order; placement draws from it. */
  #all: readonly Node[] = [];
  #stopDiscovery: () => void = () => undefined;
  #telling: AsyncDisposable | undefined;

  constructor(options: NodeRegistryOptions) {
    this.#options = options;
  }

  /**
   * Links all nodes. Resolves when each has told what lives on it, or after `timeoutMs`, with the ids of those that have
   * not by then.
   */
  async start(timeoutMs: number): Promise<string[]> {
    const { hearings, logger } = this.#options;
    this.#telling = hearings && tellHearings(hearings, () => this.#all, logger);
    this.#stopDiscovery = this.#options.discovery.watch((nodes) => this.#follow(nodes));
    const silent = new Set(this.#all);
    const told = this.#all.map((node) => node.reported().then(() => silent.delete(node)));
    await within(timeoutMs, Promise.all(told));
    return [...silent].map(({ id }) => id);
  }

  /**
   * Has all nodes that answer tell anew what lives on them. Resolves when that is written where others read it.
   * @throws Error after `timeoutMs`
   */
  async tellAnew(timeoutMs: number): Promise<void> {
    const telling = new Set(this.#all.filter(({ status }) => status !== 'unhealthy'));
    const told = [...telling].map((node) => node.tellAnew().then(() => telling.delete(node)));
    await within(timeoutMs, Promise.all(told));
    const [silent] = telling;
    if (silent) throw new Error(`what node ${silent.id} says is not written down yet`);
  }

  /** Ends the links; what is known stays. */
  async stop(): Promise<void> {
    this.#stopDiscovery();
    await this.#telling?.[Symbol.asyncDispose]();
    await Promise.all([...this.#all.map((node) => node[Symbol.asyncDispose]()), ...this.#leaving]);
  }

  get all(): readonly Node[] {
    return this.#all;
  }

  /** The node that a sandbox lives on. @throws IsletError 503 if it is none of the nodes any more */
  of(sandbox: Sandbox): Node {
    return this.recorded(sandbox.nodeId);
  }

  /**
   * The node that a row names. Rows that are older than nodes name none: those are of the only one.
   * @throws IsletError 503
   */
  recorded(nodeId: string | null): Node {
    const node = nodeId === null ? this.#only() : this.#byId.get(nodeId);
    if (!node) throw nodeUnavailable();
    return node;
  }

  /** The node that a row's thing was given to. Undefined if it was given to none. @throws IsletError 503 */
  given(nodeId: string | null): Node | undefined {
    return nodeId === null ? this.#only() : this.recorded(nodeId);
  }

  find(nodeId: string): Node | undefined {
    return this.#byId.get(nodeId);
  }

  /** Whether it does not answer, or is none of the nodes any more. */
  isAway(nodeId: string): boolean {
    const node = this.#byId.get(nodeId);
    return !node || node.status === 'unhealthy';
  }

  /** The node on which a team's sandbox ended not long ago. */
  lastHomeOf(teamId: string, sandboxId: string): Node | undefined {
    return this.#all.find(({ sandboxes }) => sandboxes.hasLatelyEnded(teamId, sandboxId));
  }

  /** Where to start something. */
  place({ from, pinned, cpuCount, memoryMb }: StartAsk): Placement<Node> {
    const holders = from ? this.holdersOf(from.buildId, from.madeOn) : [];
    const identity = holders[0]?.identity;
    if (pinned === undefined)
      return place({ cpuCount, memoryMb, holders, identity }, this.#all, this.#options.random);
    const only = this.#byId.get(pinned);
    return place({ cpuCount, memoryMb, holders: [], identity }, only ? [only] : [], this.#options.random);
  }

  /** The node with the most room. @throws IsletError 503 if none answers */
  best(resources: Resources, from?: StartAsk['from']): Node {
    const placement = this.place({ ...resources, from });
    const [node] = placement.kind === 'nodes' ? placement.nodes : [];
    if (!node) throw nodeUnavailable();
    return node;
  }

  /** A build was made on a node. */
  built(buildId: string, node: Node): void {
    this.#builds.add(buildId, node);
  }

  /** Nodes that have a build, as far as is known or recorded; the only one for what is older than nodes. */
  holdersOf(buildId: string, madeOn: string | null): readonly Node[] {
    const listed = this.#builds.holders(buildId);
    const recorded = madeOn === null ? this.#only() : this.#byId.get(madeOn);
    return recorded && !listed.includes(recorded) ? [...listed, recorded] : listed;
  }

  /** A build is deleted. */
  forgetBuild(buildId: string): void {
    this.#builds.remove(buildId);
  }

  #only(): Node | undefined {
    return this.#all.length === 1 ? this.#all[0] : undefined;
  }

  #follow(discovered: readonly DiscoveredNode[]): void {
    const present = new Set(discovered);
    for (const [known, node] of this.#nodes) if (!present.has(known)) this.#leave(known, node);
    for (const each of discovered) if (!this.#nodes.has(each)) this.#join(each);
    this.#all = [...this.#nodes.values()];
  }

  #join(discovered: DiscoveredNode): void {
    const node = new Node(discovered, {
      ...this.#options,
      onReport: (reporting, builds) => this.#builds.set(reporting, builds),
    });
    this.#nodes.set(discovered, node);
    this.#byId.set(node.id, node);
  }

  /** What lived on a node that there is no more is gone with it. */
  #leave(discovered: DiscoveredNode, node: Node): void {
    this.#nodes.delete(discovered);
    this.#byId.delete(node.id);
    this.#builds.drop(node);
    const leaving = node[Symbol.asyncDispose]()
      .then(() => node.sandboxes.clear())
      .catch((error: unknown) =>
        this.#options.logger.error({ err: error, nodeId: node.id }, 'cannot forget a node that has left'),
      )
      .finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }
}

/** Waits for something, but not for longer. */
async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  using timeout = new Deadline(timeoutMs);
  const { signal } = timeout;
  const over = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([work, over]);
}
