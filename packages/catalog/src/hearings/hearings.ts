/** A node that a control plane hears. */
export interface HeardNode {
  nodeId: string;
  /** How long ago it said something, ms. */
  agoMs: number;
}

/** Whether a node is lost. */
export type Silence =
  /** For all control planes, since that moment, Unix ms. */
  | { isLost: true; sinceMs: number }
  /** It may be lost after so long, ms. */
  | { isLost: false; leftMs: number };

/** After so long without a word of any control plane nobody knows who is heard, ms: longer than any pauses between two. */
export const TELLING_GAP_MS = 5_000;

/**
 * Which control plane has heard which node last: one alone does not know whether others hear a node that it does not. Any number of
 * them share it; each call is one step. What is lost of it counts as heard just now. Every adapter passes `hearingsContract`.
 */
export interface Hearings {
  /**
   * These nodes live. Each control plane says so every two seconds, also of none.
   * @returns those of them that counted as lost until now
   */
  heard(nodes: readonly HeardNode[]): Promise<string[]>;
  /**
   * Takes a node for lost if nobody has heard it for so long, once for all until somebody does. None is if control planes could not
   * tell in the last `TELLING_GAP_MS`.
   * @param silenceMs more than 0
   */
  lose(nodeId: string, silenceMs: number): Promise<Silence>;
}
