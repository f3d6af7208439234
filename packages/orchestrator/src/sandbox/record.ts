import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { nodeDiskFull, orchestratorProto, parseSandbox, type Sandbox } from '@islet/contracts';
import { syncDirectory } from '@islet/host';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { MachineBase, type MachineRun } from '../machine/run.ts';

/** What the node knows of a sandbox and needs to take it over after its own end. */
export interface SandboxRecord {
  sandbox: Sandbox;
  base: MachineBase;
  /** What runs of it; undefined for a paused one. */
  run: MachineRun | undefined;
  /** Of a paused one: the digest of its saved state. */
  saved: string | undefined;
}

const ProcessRef = Type.Object({ pid: Type.Number(), startTicks: Type.Number() });
const StoredRecord = Type.Object({
  version: Type.Literal(3),
  sandbox: Type.Unknown(),
  base: MachineBase,
  run: Type.Union([
    Type.Null(),
    Type.Object({
      machine: Type.Object({
        ...{ id: Type.String(), dir: Type.String() },
        ...{ main: ProcessRef, companions: Type.Array(ProcessRef) },
      }),
      slotIndex: Type.Number(),
    }),
  ]),
  saved: Type.Optional(Type.String()),
});
type StoredRecord = Static<typeof StoredRecord>;

export const STATE_FILE = 'state.json';
/** What a pause under way writes. */
const SAVING = 'saving';

/**
 * The node's records on disk, one folder a sandbox. A record is replaced by a rename, so a killed process leaves the
 * old or the new one.
 */
export class RecordStore {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  dir(sandboxId: string): string {
    return join(this.root, sandboxId);
  }

  /** Makes the sandbox's folder, if it is not there. @throws IsletError 503 if the disk is full */
  async make(sandboxId: string): Promise<void> {
    await mkdir(this.dir(sandboxId), { recursive: true, mode: 0o700 }).catch(tellFull);
  }

  /** Where a sandbox is saved that is being paused, until its state is whole: the next process finds it by the sandbox. */
  savingDir(sandboxId: string): string {
    return join(this.dir(sandboxId), SAVING);
  }

  /**
   * `durable` also survives a power cut: for paused sandboxes. A running one does not survive it either, so its record
   * need not wait for the disk.
   * @throws IsletError 503 if the disk is full: what was written before is there
   */
  async write(record: SandboxRecord, { durable }: { durable: boolean }): Promise<void> {
    const id = record.sandbox.config.sandboxId;
    const stored: StoredRecord = {
      version: 3,
      sandbox: toJson(orchestratorProto.SandboxSchema, record.sandbox),
      base: record.base,
      run: record.run ?? null,
      ...(record.saved !== undefined && { saved: record.saved }),
    };
    const file = join(this.dir(id), STATE_FILE);
    const temporary = `${file}.new`;
    try {
      await writeFile(temporary, JSON.stringify(stored), { mode: 0o600, flush: durable });
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true });
      tellFull(error);
    }
    if (durable) await syncDirectory(this.dir(id));
  }

  /** From here on the sandbox is not there for whoever starts next, however much of its folder is left. */
  async forget(sandboxId: string): Promise<void> {
    await rm(join(this.dir(sandboxId), STATE_FILE), { force: true });
  }

  /** Removes what a killed process left half made or half removed in a sandbox's folder. */
  async tidy({ sandbox }: SandboxRecord): Promise<void> {
    const dir = this.dir(sandbox.config.sandboxId);
    for (const name of await readdir(dir)) {
      if (name !== STATE_FILE) await rm(join(dir, name), { recursive: true, force: true });
    }
  }

  /** Whether the saving of a sandbox has begun to write. */
  async isSaving(sandboxId: string): Promise<boolean> {
    return (await readdir(this.savingDir(sandboxId)).catch(() => [])).length > 0;
  }

  /** Every folder's id with its record, undefined if it holds none that can be read. */
  async readAll(): Promise<Map<string, SandboxRecord | undefined>> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    const ids = await readdir(this.root);
    return new Map(await Promise.all(ids.map(async (id) => [id, await this.#read(id)] as const)));
  }

  async #read(id: string): Promise<SandboxRecord | undefined> {
    try {
      const stored = JSON.parse(await readFile(join(this.dir(id), STATE_FILE), 'utf8')) as unknown;
      if (!Value.Check(StoredRecord, stored)) return undefined;
      const sandbox = parseSandbox(fromJson(orchestratorProto.SandboxSchema, stored.sandbox as JsonValue));
      return sandbox && { sandbox, base: stored.base, run: stored.run ?? undefined, saved: stored.saved };
    } catch {
      return undefined; // half made: its owner frees it
    }
  }
}

function tellFull(error: unknown): never {
  if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw nodeDiskFull(error);
  throw error;
}
