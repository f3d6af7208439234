import type { Members, NodeList } from '@islet/api';
import { type ConsulAgent, type ServiceInstance, watchService } from '@islet/consul';
import type { Member } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import { type CatalogueNode, hostPort, readNodeEntry, SERVICES } from './service.ts';

/** How long a node stays that the catalogue has no more, ms: an agent that is started again has nobody for a moment. */
const LEAVE_MS = 60_000;

export interface CatalogueOptions {
  agent: ConsulAgent;
  logger: Logger;
  leaveMs?: number;
}

/**
 * The nodes that Consul's catalogue has. One is taken when its check has passed for the first time; after that it is the API's own
 * link that says whether it answers, and a catalogue that cannot be read takes nobody away.
 */
export class NodeCatalogue implements Disposable {
  readonly #options: CatalogueOptions;
  readonly #watch: Disposable;
  readonly #known = new Map<string, CatalogueNode>();
  readonly #leaving = new Map<string, NodeJS.Timeout>();
  readonly #listeners = new Set<(nodes: readonly CatalogueNode[]) => void>();

  constructor(options: CatalogueOptions) {
    this.#options = options;
    this.#watch = watchService(options.agent, SERVICES.node, {
      changed: (instances) => this.#take(instances),
      lost: (error) =>
        options.logger.warn({ err: error }, 'the nodes in Consul cannot be read; they stay as known'),
    });
  }

  /** Told of all nodes, within the call and whenever one comes, goes or changes; gives back the way to end it. */
  watch(listener: (nodes: readonly CatalogueNode[]) => void): () => void {
    this.#listeners.add(listener);
    listener([...this.#known.values()]);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    this.#listeners.clear();
  }

  #take(instances: readonly ServiceInstance[]): void {
    const there = new Map<string, CatalogueNode>();
    for (const instance of instances) {
      const node = readNodeEntry(instance);
      if (!node) {
        this.#options.logger.warn({ id: instance.id }, 'an entry in Consul does not say which node it is');
      } else if (instance.isPassing || this.#known.has(node.id)) {
        there.set(node.id, node);
      }
    }
    for (const id of this.#known.keys()) if (!there.has(id)) this.#leave(id);
    for (const [id, node] of there) {
      clearTimeout(this.#leaving.get(id));
      this.#leaving.delete(id);
      this.#known.set(id, node);
    }
    this.#tell();
  }

  #leave(id: string): void {
    if (this.#leaving.has(id)) return;
    const timer = setTimeout(() => {
      this.#leaving.delete(id);
      this.#known.delete(id);
      this.#tell();
    }, this.#options.leaveMs ?? LEAVE_MS);
    this.#leaving.set(id, timer.unref());
  }

  #tell(): void {
    const nodes = [...this.#known.values()];
    for (const listener of this.#listeners) listener(nodes);
  }
}

/** Nodes that share a token with the API. */
export function tokenNodes(catalogue: Pick<NodeCatalogue, 'watch'>, token: string): NodeList {
  return {
    watch: (listener) =>
      catalogue.watch((nodes) =>
        listener(
          nodes.map(({ id, labels, at }) => ({
            ...{ id, labels, token },
            orchestratorUrl: `http://${hostPort(at.address, at.orchestratorPort)}`,
            templateManagerUrl: `http://${hostPort(at.address, at.templateManagerPort)}`,
            proxyAddress: hostPort(at.address, at.sandboxProxyPort),
          })),
        ),
      ),
  };
}

/** Members of a cluster, its nodes where the catalogue has them: those that it does not have are nowhere. */
export function locatedMembers(
  members: Pick<Members, 'watch'>,
  catalogue: Pick<NodeCatalogue, 'watch'>,
): Pick<Members, 'watch'> {
  return {
    watch(listener) {
      let all: readonly Member[] = [];
      let places = new Map<string, CatalogueNode>();
      const tell = () =>
        listener(
          all.map((member) => {
            if (member.role !== 'node') return member;
            const place = places.get(member.name);
            return { ...member, at: place?.at, labels: place?.labels ?? member.labels };
          }),
        );
      let isOpen = false;
      const ends = [
        members.watch((changed) => {
          all = changed;
          if (isOpen) tell();
        }),
        catalogue.watch((changed) => {
          places = new Map(changed.map((node) => [node.id, node]));
          if (isOpen) tell();
        }),
      ];
      isOpen = true;
      tell();
      return () => {
        for (const end of ends) end();
      };
    },
  };
}
