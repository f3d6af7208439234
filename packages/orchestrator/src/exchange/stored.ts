import type { Sandbox } from '@islet/contracts';
import { DamagedSnapshotError } from '@islet/driver';
import { type ObjectStore, SharedStates } from '@islet/snapshots';
import { type MovableRecord, readSharedRecord, type SandboxName } from './movable.ts';
import { readSandboxRecord, SANDBOX_RECORDS, sandboxRecord } from './names.ts';

/** Takes a record from the store with the state that it is of. */
export async function dropRecord(
  shared: SharedStates,
  { record, state }: { record: string; state: string },
  signal?: AbortSignal,
): Promise<void> {
  // Nobody finds the state without the record.
  await shared.deleteRecord(record, signal);
  await shared.deleteState(state, signal);
}

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
    return (await this.#read(run, signal))?.sandbox;
  }

  /** Deletes a run that is over, if it is there. @throws as `get` */
  async drop(run: SandboxName, signal?: AbortSignal): Promise<void> {
    const record = await this.#read(run, signal);
    if (record) await dropRecord(this.#shared, { record: sandboxRecord(run), state: record.saved }, signal);
  }

  async #read(run: SandboxName, signal: AbortSignal | undefined): Promise<MovableRecord | undefined> {
    const name = sandboxRecord(run);
    const stored = await this.#shared.getRecord(name, signal);
    if (!stored) return undefined;
    const record = readSharedRecord(stored.content, run);
    if (record) return record;
    throw new DamagedSnapshotError(
      `what ${this.#shared.name} has as ${name} is no paused sandbox of that run`,
    );
  }
}
