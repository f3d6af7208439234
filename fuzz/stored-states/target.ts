import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DamagedSnapshotError } from '../../packages/driver/src/index.ts';
import { type ObjectStore, SharedStates } from '../../packages/snapshots/src/index.ts';
import type { FuzzTarget } from '../target.ts';

const CHUNK = Buffer.from('a chunk that the store has');
const CHUNK_KEY = createHash('sha256').update(CHUNK).digest('hex');

export const target: FuzzTarget = {
  description: 'what a store says that a saved state consists of, for a node that fetches it',
  maxBytes: 8 * 1024,
  async run(input) {
    const states = new SharedStates(storeOf(input));
    const around = mkdtempSync(join(tmpdir(), 'islet-fuzz-'));
    try {
      const into = mkdtempSync(join(around, 'state-'));
      await allowed(() => states.getState(digestOf(input), into));
      const [here, ...others] = readdirSync(around);
      if (!into.endsWith(here ?? '') || others.length > 0) throw new Error(`it wrote beside ${into}`);
      await allowed(() => states.assertState(digestOf(input), new Set()));
      await allowed(() => states.getTree('a-tree', join(around, 'archive')));
      await allowed(() => states.getRecord('sandboxes/a-sandbox'));
    } finally {
      rmSync(around, { recursive: true, force: true });
    }
  },
};

/** Has one document under every name, and one chunk. */
function storeOf(document: Buffer): ObjectStore {
  return {
    name: 'a store',
    put: () => Promise.reject(new Error('a node that reads wrote to the store')),
    delete: () => Promise.reject(new Error('a node that reads deleted from the store')),
    get: async (key) => {
      if (!key.startsWith('chunks/')) return document;
      return key.endsWith(CHUNK_KEY) ? Buffer.concat([Buffer.of(0), CHUNK]) : undefined;
    },
    look: async (key) => ({ key, bytes: 1, modifiedAtMs: 0 }),
    async *list() {},
  };
}

/** The name that fits, if the document has a manifest: what lies behind that is of interest. */
function digestOf(document: Buffer): string {
  const [, text] = /"manifest":"((?:[^"\\]|\\.)*)"/.exec(document.toString('utf8')) ?? [];
  let manifest = '';
  try {
    manifest = JSON.parse(`"${text ?? ''}"`);
  } catch {}
  return createHash('sha256').update(manifest).digest('hex');
}

async function allowed(read: () => Promise<unknown>): Promise<void> {
  try {
    await read();
  } catch (error) {
    if (!(error instanceof DamagedSnapshotError)) throw error;
  }
}
