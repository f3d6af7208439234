import type { RouteChange, RouteSink } from '@islet/catalog';
import type { KnownSandboxes } from './known-sandboxes.ts';

interface Ahead {
  teamId: string;
  /** Where it lives, or lived. */
  nodeId: string;
  change: RouteChange;
}

/** Fewer are not worth a look for what nodes have told meanwhile. */
const SMALLEST = 64;

/**
 * What the shared routes tell of sandboxes before their nodes have told this control plane: changes that another one
 * has answered for. Most of it is known a moment later.
 */
export class RouteNews implements RouteSink {
  readonly #known: KnownSandboxes;
  /** By sandbox. */
  readonly #ahead = new Map<string, Ahead>();
  readonly #waiting = new Set<() => void>();
  /** Undefined while a watch begins. */
  #reached: number | undefined;
  #sweepAt = SMALLEST;

  constructor(known: KnownSandboxes) {
    this.#known = known;
  }

  begin(): void {
    this.#reached = undefined;
  }

  changed(change: RouteChange): void {
    const sandboxId = change.kind === 'put' ? change.route.sandboxId : change.sandboxId;
    if (!this.#isAhead(change)) {
      this.#ahead.delete(sandboxId);
      return;
    }
    const known = this.#known.get(sandboxId);
    const place =
      change.kind === 'put' ? change.route : known && { nodeId: known.nodeId, teamId: known.config.teamId };
    if (place) this.#ahead.set(sandboxId, { teamId: place.teamId, nodeId: place.nodeId, change });
    if (this.#ahead.size >= this.#sweepAt) this.#sweep();
  }

  complete(): void {
    // What was reached is told by itself.
  }

  reached(mark: number): void {
    this.#reached = mark;
    for (const tell of [...this.#waiting]) tell();
  }

  /** Waits until all up to a mark was told. @throws the signal's reason */
  async until(mark: number, signal: AbortSignal): Promise<void> {
    while (this.#reached === undefined || this.#reached < mark) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const go = () => {
          this.#waiting.delete(go);
          signal.removeEventListener('abort', go);
          resolve();
        };
        this.#waiting.add(go);
        signal.addEventListener('abort', go, { once: true });
      });
    }
  }

  /** Sandboxes of which more is known than their nodes have told, with their nodes. @param teamId absent: of all teams */
  sandboxes(teamId?: string): { sandboxId: string; nodeId: string }[] {
    this.#sweep();
    return [...this.#ahead]
      .filter(([, ahead]) => teamId === undefined || ahead.teamId === teamId)
      .map(([sandboxId, { nodeId }]) => ({ sandboxId, nodeId }));
  }

  /** The node was asked. */
  settled(sandboxId: string): void {
    this.#ahead.delete(sandboxId);
  }

  #isAhead(change: RouteChange): boolean {
    if (change.kind === 'put') {
      const known = this.#known.get(change.route.sandboxId);
      return known === undefined || known.revision < change.route.revision;
    }
    return this.#known.get(change.sandboxId)?.executionId === change.executionId;
  }

  #sweep(): void {
    for (const [id, { change }] of this.#ahead) if (!this.#isAhead(change)) this.#ahead.delete(id);
    this.#sweepAt = Math.max(SMALLEST, this.#ahead.size * 2);
  }
}
