/** Whether a node can be given work. */
export type NodeStatus =
  /** It has told what lives on it and answers. */
  | 'ready'
  /** It has not told yet, or not again since its link broke. */
  | 'connecting'
  /** It does not answer. */
  | 'unhealthy';

/** What a saved state needs to be the same if it is started. */
export interface NodeIdentity {
  /** The kind of sandboxes: gvisor, microvm. */
  isolation: string;
  /** Digest of the runtime's build; '' if the node does not say. */
  runtime: string;
  /** Architecture, family and model of the processor. */
  cpu: string;
}

export interface Resources {
  cpuCount: number;
  memoryMb: number;
}

/** A node as placement sees it. */
export interface PlacementNode {
  readonly id: string;
  readonly status: NodeStatus;
  /** Something new may be started on it: its operator says nothing else. */
  readonly isOpen: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined until the node has said. */
  readonly identity: NodeIdentity | undefined;
  readonly capacity: Resources | undefined;
  /** Of the sandboxes that run on it and of those that are being started there. */
  readonly taken: Resources;
}

/** What is to be started, and where it may be. */
export interface PlacementAsk<N> extends Resources {
  /** Nodes that have what it is started from; none if that is not known. */
  holders: readonly N[];
  /** What other nodes than these have to be like; undefined: anything. */
  identity?: NodeIdentity | undefined;
  /** Labels that the node must have, with these values. */
  labels?: Readonly<Record<string, string>>;
}

export type Placement<N> =
  /** Best first, at least one. */
  | { kind: 'nodes'; nodes: N[] }
  /** No node answers, or none of those that answer could start it. */
  | { kind: 'none'; reason: 'unavailable' | 'incompatible' };

/** Nodes that are compared, of holders and of others: more of them make placement hardly better (the power of two choices). */
const SAMPLED = 5;

/**
 * Where to start something, best first: nodes that are ready before others, those that have what it is started from before
 * those that do not, then the one with the largest share of memory and processors left. A few are looked at, however many
 * there are. A node without room is last and not left out: what it has given away is a sum of promises, and it says by
 * itself when it is full.
 */
export function place<N extends PlacementNode>(
  ask: PlacementAsk<N>,
  nodes: readonly N[],
  random: () => number,
): Placement<N> {
  const holders = sample(ask.holders, random, (node) => refusal(node, ask, true));
  const others = sample(nodes, random, (node) => refusal(node, ask, false));
  const held = new Set(holders.fit);
  const candidates = [...held, ...others.fit.filter((node) => !held.has(node))];
  if (candidates.length === 0) {
    const answered = [...holders.refusals, ...others.refusals].includes('incompatible');
    return { kind: 'none', reason: answered ? 'incompatible' : 'unavailable' };
  }
  const ranked = candidates.map((node) => ({ node, rank: rank(node, ask, held.has(node)) }));
  ranked.sort((a, b) => compare(b.rank, a.rank));
  return { kind: 'nodes', nodes: ranked.slice(0, SAMPLED).map(({ node }) => node) };
}

type Refusal = 'unavailable' | 'incompatible';

function refusal<N extends PlacementNode>(
  node: N,
  { identity, labels = {} }: PlacementAsk<N>,
  isHolder: boolean,
): Refusal | undefined {
  if (node.status === 'unhealthy' || !node.isOpen) return 'unavailable';
  if (Object.entries(labels).some(([name, value]) => node.labels[name] !== value)) return 'incompatible';
  const differs = !isHolder && !isSameIdentity(node.identity, identity);
  return differs ? 'incompatible' : undefined;
}

/** Whether what one of two nodes has saved may start on the other; what is not known of either speaks against nothing. */
export function isSameIdentity(a: NodeIdentity | undefined, b: NodeIdentity | undefined): boolean {
  if (!a || !b) return true;
  return a.isolation === b.isolation && a.runtime === b.runtime && a.cpu === b.cpu;
}

/** Up to `SAMPLED` items that nothing speaks against, in random order; more are drawn only for those that were refused. */
function sample<N>(items: readonly N[], random: () => number, refuse: (item: N) => Refusal | undefined) {
  const fit: N[] = [];
  const refusals = new Set<Refusal>();
  for (const item of drawn(items, random)) {
    const refused = refuse(item);
    if (refused) refusals.add(refused);
    else fit.push(item);
    if (fit.length === SAMPLED) break;
  }
  return { fit, refusals };
}

/** All items in random order, drawn one by one: the shuffle of Fisher and Yates, of which only the swaps made are kept. */
function* drawn<N>(items: readonly N[], random: () => number): Generator<N> {
  const swapped = new Map<number, number>();
  for (let left = items.length; left > 0; left--) {
    const pick = Math.floor(random() * left);
    const index = swapped.get(pick) ?? pick;
    swapped.set(pick, swapped.get(left - 1) ?? left - 1);
    yield items[index] as N;
  }
}

/** Higher is better, the first part counts most. */
type Rank = readonly [ready: number, holds: number, left: number];

function rank<N extends PlacementNode>(node: N, ask: PlacementAsk<N>, holds: boolean): Rank {
  return [node.status === 'ready' ? 1 : 0, holds ? 1 : 0, shareLeft(node, ask)];
}

function compare(a: Rank, b: Rank): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** The smaller of the shares of memory and processors that are left with what is asked for; below 0 if it is overbooked. */
function shareLeft({ capacity, taken }: PlacementNode, asked: Resources): number {
  if (!capacity) return Number.MIN_SAFE_INTEGER;
  const left = (all: number, used: number, more: number) => 1 - (used + more) / Math.max(all, 1);
  return Math.min(
    left(capacity.memoryMb, taken.memoryMb, asked.memoryMb),
    left(capacity.cpuCount, taken.cpuCount, asked.cpuCount),
  );
}
