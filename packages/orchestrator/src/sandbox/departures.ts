import { Deadline, pausedNotStored } from '@islet/contracts';
import type { Exchange } from '../exchange/exchange.ts';
import type { MovableRecord, SandboxName } from '../exchange/movable.ts';
import { type Entry, type SandboxTable, view } from './table.ts';

export interface DeparturesOptions {
  exchange: Pick<Exchange, 'sendSandbox' | 'sendSandboxNow' | 'dropSandbox'>;
  table: SandboxTable;
  /** Runs a task in a sandbox's turn. */
  inTurn: (sandboxId: string, task: () => Promise<void>) => Promise<void>;
}

/** For a pause that is to be in the store when it is answered, ms: less than the api waits for it. */
const SENT_DEADLINE_MS = 55_000;

/** Sees to it that the store has this node's paused sandboxes, so that others can take them over, and nothing of those that went on. */
export class Departures {
  readonly #options: DeparturesOptions;

  constructor(options: DeparturesOptions) {
    this.#options = options;
  }

  /** Sends a sandbox that is paused, behind the caller's back. */
  send(entry: Entry): void {
    const record = unsent(entry);
    if (record) this.#options.exchange.sendSandbox(record, () => this.#sent(record));
  }

  /**
   * Waits until a sandbox that is paused is in the store; not within its turn.
   * @throws IsletError 503 if that takes too long: it is paused all the same, and sent when the store takes it
   */
  async sendNow(entry: Entry): Promise<void> {
    const record = unsent(entry);
    if (!record) return;
    using deadline = new Deadline(SENT_DEADLINE_MS);
    await this.#options.exchange
      .sendSandboxNow(record, () => this.#sent(record), deadline.signal)
      .catch((cause: unknown) => {
        throw pausedNotStored(record.sandbox.config.sandboxId, cause);
      });
  }

  /** A sandbox that was paused runs again, or has ended. */
  gone(sandbox: SandboxName, saved: string): void {
    this.#options.exchange.dropSandbox(sandbox, saved);
  }

  #sent({ sandbox: { config, executionId }, saved }: MovableRecord): Promise<void> {
    const { table, inTurn } = this.#options;
    return inTurn(config.sandboxId, async () => {
      const entry = table.get(config.sandboxId);
      // What has gone on meanwhile has taken its record back behind this.
      if (entry?.saved !== saved || entry.sandbox.executionId !== executionId || entry.sandbox.stored) return;
      entry.sandbox.stored = true;
      try {
        await table.save(entry);
      } catch (error) {
        entry.sandbox.stored = false;
        throw error;
      }
    });
  }
}

/** A paused sandbox as another node may have it. Undefined if it cannot be moved. */
export function movable(entry: Entry): MovableRecord | undefined {
  const { saved, base, sandbox } = entry;
  // Volumes are their node's.
  if (saved === undefined || entry.run || sandbox.config.volumeMounts.length > 0) return undefined;
  const copy = view(entry);
  // News of what this node says meanwhile.
  return { sandbox: Object.assign(copy, { revision: copy.revision + 1 }), base, saved };
}

/** A sandbox as it will be when the store has it. Undefined if it cannot be moved, or was sent before. */
function unsent(entry: Entry): MovableRecord | undefined {
  const record = entry.sandbox.stored ? undefined : movable(entry);
  if (record) record.sandbox.stored = true;
  return record;
}
