import { Code, ConnectError } from '@connectrpc/connect';
import { parseSandbox, type Sandbox } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Clock } from '../deps.ts';
import type { Node } from './node.ts';
import type { NodeRegistry } from './registry.ts';
import { isSalvageable, type StoredRun } from './salvageable.ts';

/** What a node reads of the store for this, at once. */
const READS_AT_ONCE = 8;
/** For one of them, ms. */
const READ_TIMEOUT_MS = 30_000;
/** For all names that the store has, ms. */
const LIST_TIMEOUT_MS = 600_000;

export interface StoredRunsOptions {
  nodes: Pick<NodeRegistry, 'all'>;
  clock: Clock;
  logger: Logger;
}

/** What the store of the installation has of paused runs, as a node that answers reads it. */
export class StoredRuns {
  readonly #options: StoredRunsOptions;

  constructor(options: StoredRunsOptions) {
    this.#options = options;
  }

  /** A node that reads it; undefined if there is none now. */
  reader(): Node | undefined {
    return this.#options.nodes.all.find(({ status, lastFacts }) => status === 'ready' && lastFacts?.hasStore);
  }

  /**
   * Runs in no order, a page of names at a time.
   * @param wanted of a page, those that are to be read
   * @throws ConnectError if the store is away, or the node
   */
  async *read(
    reader: Node,
    wanted: (runs: readonly StoredRun[]) => Promise<readonly StoredRun[]>,
    stop: AbortSignal,
  ): AsyncGenerator<Sandbox[]> {
    const signal = AbortSignal.any([reader.presence, stop]);
    const list = reader.link.sandboxes.listStoredSandboxes({}, { signal, timeoutMs: LIST_TIMEOUT_MS });
    for await (const { runs } of list) {
      const chosen = await wanted(runs);
      const found: Sandbox[] = [];
      for (let from = 0; from < chosen.length; from += READS_AT_ONCE) {
        const some = chosen.slice(from, from + READS_AT_ONCE);
        const sandboxes = await Promise.all(some.map((run) => this.#readOne(reader, run, signal)));
        found.push(...sandboxes.flatMap((sandbox) => sandbox ?? []));
      }
      yield found;
    }
  }

  /** Undefined if it is gone, or is nothing that a node would say. @throws ConnectError if the store is away */
  async #readOne(reader: Node, run: StoredRun, signal: AbortSignal): Promise<Sandbox | undefined> {
    const { clock, logger } = this.#options;
    const { sandboxId, executionId } = run;
    try {
      const { sandbox: message } = await reader.link.sandboxes.getStoredSandbox(
        { sandboxId, executionId },
        { signal, timeoutMs: READ_TIMEOUT_MS },
      );
      const sandbox = message && parseSandbox(message);
      if (sandbox && isSalvageable(sandbox, run, clock.now())) return sandbox;
    } catch (error) {
      const { code } = ConnectError.from(error);
      if (code === Code.NotFound) return undefined;
      if (code !== Code.DataLoss && code !== Code.Internal) throw error;
      logger.warn({ err: error, ...run }, 'what the store has of a paused sandbox cannot be read');
      return undefined;
    }
    logger.warn({ sandboxId, executionId }, 'the store has what no node would say of a paused sandbox');
    return undefined;
  }
}
