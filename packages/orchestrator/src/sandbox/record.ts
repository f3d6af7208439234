import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { orchestratorProto } from '@islet/contracts';
import type { Machine } from '../drivers/driver.ts';

/** What the node knows of a running sandbox and needs to adopt it after its own end. */
export interface SandboxRecord {
  sandbox: orchestratorProto.Sandbox;
  machine: Machine;
  slotIndex: number;
}

interface StoredRecord {
  version: 1;
  sandbox: JsonValue;
  machine: Machine;
  slotIndex: number;
}

const STATE_FILE = 'state.json';

/**
 * The node's records on disk, one folder a sandbox. A record is replaced by a rename, so a killed process leaves the
 * old or the new one. There is no sync: what lives in memory (the sandboxes) does not survive a power cut either.
 */
export class RecordStore {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  dir(sandboxId: string): string {
    return join(this.root, sandboxId);
  }

  async write(record: SandboxRecord): Promise<void> {
    const id = record.sandbox.config?.sandboxId ?? '';
    const stored: StoredRecord = {
      version: 1,
      sandbox: toJson(orchestratorProto.SandboxSchema, record.sandbox),
      machine: record.machine,
      slotIndex: record.slotIndex,
    };
    const file = join(this.dir(id), STATE_FILE);
    const temporary = `${file}.new`;
    await writeFile(temporary, JSON.stringify(stored), { mode: 0o600 });
    await rename(temporary, file);
  }

  /** Every folder's id with its record, undefined where it holds none that can be read. */
  async readAll(): Promise<Map<string, SandboxRecord | undefined>> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    const ids = await readdir(this.root);
    return new Map(await Promise.all(ids.map(async (id) => [id, await this.#read(id)] as const)));
  }

  async #read(id: string): Promise<SandboxRecord | undefined> {
    try {
      const stored = JSON.parse(await readFile(join(this.dir(id), STATE_FILE), 'utf8')) as StoredRecord;
      if (stored.version !== 1) return undefined;
      return {
        sandbox: fromJson(orchestratorProto.SandboxSchema, stored.sandbox),
        machine: stored.machine,
        slotIndex: stored.slotIndex,
      };
    } catch {
      return undefined; // half made: its owner frees it
    }
  }
}
