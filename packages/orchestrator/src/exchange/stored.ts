import type { Sandbox } from '@islet/contracts';
import { DamagedSnapshotError } from '@islet/driver';
import { type ObjectStore, SharedStates } from '@islet/snapshots';
import { readSharedRecord, type SandboxName } from './movable.ts';
import { readSandboxRecord, SANDBOX_RECORDS, sandboxRecord } from './names.ts';

/** What the store of the installation says of paused sandboxes, of whichever node. */
export class StoredSandboxes {
  readonly #shared: SharedStates;

  constructor(store: ObjectStore) {
    this.#shared = new SharedStates(store);
  }

  /** Their runs, in no order. @throws StoreUnavailableError */
  async *runs(signal?: AbortSignal): AsyncGenerator<SandboxName> {
    for await (const name of this.#shared.recordNames(SANDBOX_RECORDS, signal)) {
      const run = readSandboxRecord(name);
      if (run) yield run;
    }
  }

  /**
   * A run, as it was when its node sent it. Undefined if there is nothing of it.
   * @throws DamagedSnapshotError if that is no record of it; StoreUnavailableError
   */
  async get(run: SandboxName, signal?: AbortSignal): Promise<Sandbox | undefined> {
    const name = sandboxRecord(run);
    const stored = await this.#shared.getRecord(name, signal);
    if (!stored) return undefined;
    const record = readSharedRecord(stored.content, run);
    if (record) return record.sandbox;
    throw new DamagedSnapshotError(
      `what ${this.#shared.name} has as ${name} is no paused sandbox of that run`,
    );
  }
}
