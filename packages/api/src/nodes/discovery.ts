import type { NodeLink } from './link.ts';

/** A node as discovery knows it, before anybody has asked it anything. */
export interface DiscoveredNode {
  /** Names the node for good: rows say by it where builds and volumes are. Not what the node calls itself. */
  id: string;
  /** What its operator says of it, for placement. */
  labels: Readonly<Record<string, string>>;
  link: NodeLink;
}

/** Which nodes there are. */
export interface NodeDiscovery {
  /**
   * Tells the listener of all nodes, within this call, and of all again whenever one comes or goes; a node is the same as
   * before if its object is. Gives back the way to end it.
   */
  watch(listener: (nodes: readonly DiscoveredNode[]) => void): () => void;
}

/** The nodes that are known from the start and stay: the one of this machine, or a list. */
export function fixedNodes(nodes: readonly DiscoveredNode[]): NodeDiscovery {
  const ids = nodes.map(({ id }) => id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new TypeError(`two nodes are named ${twice}: give each one its own name`);
  return {
    watch(listener) {
      listener(nodes);
      return () => undefined;
    },
  };
}

/** The node of this machine, whose services are called without a socket. */
export function localNode(id: string, link: NodeLink): NodeDiscovery {
  return fixedNodes([{ id, labels: {}, link }]);
}
