import { createHash } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { type nodeProto, pauseFor } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Node } from '../../nodes/node.ts';
import type { NodeRegistry } from '../../nodes/registry.ts';

export interface NodesBuildsOptions {
  nodes: Pick<NodeRegistry, 'all' | 'built'>;
  logger: Logger;
}

export interface ShippedRequest {
  /** Of `templates/`, such as `code-interpreter`. */
  folder: string;
  /** The node that built it before; undefined: none that is known. */
  madeOn: string | undefined;
  /** @param share 0…1, if it is known */
  progress: (message: string, share?: number) => void;
  signal: AbortSignal;
}

/** A build of a template that ships with Islet, and the node that has it. */
export interface NodesBuild {
  nodeId: string;
  build: nodeProto.BuildFurtherResponse_Ready;
}

/** Before nodes are asked again, ms. */
const PAUSE_MS = 1_000;

/** Has a node build templates that ship with Islet. */
export class NodesBuilds {
  readonly #options: NodesBuildsOptions;

  constructor(options: NodesBuildsOptions) {
    this.#options = options;
  }

  /** Whether a node is there, and takes new things. */
  answers(nodeId: string): boolean {
    return this.#ready().some(({ id }) => id === nodeId);
  }

  /**
   * Resolves when a node has the template; waits for one to be there, and asks again if it goes. The node that has built it before is
   * asked first, then always the same one, whichever API asks, so that two do not build it.
   * @throws Error if it cannot be built, or no node that answers has such a template; the signal's reason if it was aborted
   */
  async build(request: ShippedRequest): Promise<NodesBuild> {
    const { folder, madeOn, progress, signal } = request;
    const { logger } = this.#options;
    /** Of an older Islet. */
    const ignorant = new Set<string>();
    for (;;) {
      signal.throwIfAborted();
      const ready = this.#ready();
      const node = firstFor(
        folder,
        madeOn,
        ready.filter(({ id }) => !ignorant.has(id)),
      );
      if (!node) {
        if (ready.length > 0)
          throw new Error(`no node has a template ${folder}: are they of an older Islet?`);
        progress('waits for a node');
      } else {
        try {
          const build = await this.#buildOn(node, request);
          if (build) return { nodeId: node.id, build };
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof NotBuilt) throw error;
          if (isIgnorance(error)) ignorant.add(node.id);
          logger.warn({ err: error, nodeId: node.id, template: folder }, 'a node does not build a template');
        }
      }
      await pauseFor(PAUSE_MS, signal);
    }
  }

  #ready(): Node[] {
    return this.#options.nodes.all.filter(({ status, isOpen }) => status === 'ready' && isOpen);
  }

  /** Undefined if the node broke off. */
  async #buildOn(
    node: Node,
    { folder, progress, signal }: ShippedRequest,
  ): Promise<nodeProto.BuildFurtherResponse_Ready | undefined> {
    const { shipped } = node.link;
    if (!shipped) throw new ConnectError('it builds nothing for other processes', Code.Unimplemented);
    const ends = AbortSignal.any([signal, node.presence]);
    for await (const { state } of shipped.buildFurther({ folder }, { signal: ends })) {
      if (state.case === 'building') progress(state.value.message, state.value.share);
      if (state.case === 'failure') throw new NotBuilt(state.value.message);
      if (state.case === 'ready') {
        this.#options.nodes.built(state.value.buildId, node);
        return state.value;
      }
    }
    return undefined;
  }
}

/** The template itself is to blame, or what its build needs. */
class NotBuilt extends Error {
  override readonly name = 'NotBuilt';
}

/** True if the node knows no such call, or no such template. */
function isIgnorance(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Unimplemented || code === Code.NotFound;
}

/**
 * Which of some nodes is asked first: the one that is known, else the one whose name goes best with the folder's (rendezvous hashing), which
 * is another one for few templates if nodes come and go.
 */
export function firstFor<N extends { readonly id: string }>(
  folder: string,
  known: string | undefined,
  nodes: readonly N[],
): N | undefined {
  const rank = (id: string) => createHash('sha256').update(`${folder}\n${id}`).digest('hex');
  const ranked = nodes.map((node) => ({ node, rank: rank(node.id) }));
  ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1));
  return nodes.find(({ id }) => id === known) ?? ranked[0]?.node;
}
