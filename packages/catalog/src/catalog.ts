import type { orchestratorProto } from '@islet/contracts';

export type Sandbox = orchestratorProto.Sandbox;

/** Where a live sandbox is, and all that the control plane and the edge need to know of it. */
export interface CatalogEntry {
  sandbox: Sandbox;
  /** How the edge reaches the sandbox: straight at its address on this machine, or through its node's proxy. */
  route: { kind: 'direct' } | { kind: 'node'; proxyAddress: string };
}

/** What routing traffic needs of a catalog. */
export interface CatalogReader {
  get(sandboxId: string): Promise<CatalogEntry | undefined>;
  /** Every entry, in no order. */
  listAll(): Promise<CatalogEntry[]>;
}

/** One change of what a catalog holds. */
export type CatalogChange = { kind: 'put'; entry: CatalogEntry } | { kind: 'remove'; sandboxId: string };

/** Tells a listener of every entry now, and of each change from now on within the change's own turn, in order. */
export interface Followable {
  /** Gives back the way to end it. */
  follow(listener: (change: CatalogChange) => void): () => void;
}

/**
 * Knows which sandboxes live where. Holds no truth of its own: it is rebuilt from the nodes at start.
 * Every adapter passes `catalogContract` in catalog.contract.ts.
 */
export interface Catalog extends CatalogReader {
  /** Sandboxes of one team in the order of compareNewestFirst, so that a page of thousands needs no sorting. */
  listTeam(teamId: string): Promise<CatalogEntry[]>;
  /** Enters what is known of a sandbox now. False where a later revision of it is there already: that one stays. */
  put(entry: CatalogEntry): Promise<boolean>;
  remove(sandboxId: string): Promise<void>;
  close(): Promise<void>;
}

/** Where a sandbox stands in a team's list. */
export interface Position {
  /** Start of its life in whole Unix milliseconds, the precision that clients see. */
  startedAtMs: number;
  sandboxId: string;
}

export function positionOf(sandbox: Sandbox): Position {
  return { startedAtMs: Math.trunc(sandbox.startedAtMs), sandboxId: sandbox.config?.sandboxId ?? '' };
}

/** Latest start first, and by id where two started in one millisecond. */
export function compareNewestFirst(a: Position, b: Position): number {
  if (a.startedAtMs !== b.startedAtMs) return b.startedAtMs - a.startedAtMs;
  if (a.sandboxId === b.sandboxId) return 0;
  return a.sandboxId < b.sandboxId ? -1 : 1;
}
