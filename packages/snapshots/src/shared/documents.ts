import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Static, Type } from 'typebox';
import { MANIFEST } from '../seal.ts';
import { StoredFile } from './files.ts';

/** What may be written of one state, tree or record, bytes. */
export const MOST_DOCUMENT_BYTES = 32 * 1024 * 1024;

/** A state's files may lie in folders of it, one deep; no name leads out. */
const PATH = '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99})?$';

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$' });

export const StateDocument = Type.Object({
  version: Type.Literal(1),
  /** As it lies beside the state's files: the state's name is its digest. */
  manifest: Type.String(),
  files: Type.Array(Type.Object({ path: Type.String({ pattern: PATH }), file: StoredFile }), {
    maxItems: 1_000,
  }),
});

export type StateDocument = Static<typeof StateDocument>;

export const TreeDocument = Type.Object({ version: Type.Literal(1), archive: StoredFile });

export type TreeDocument = Static<typeof TreeDocument>;

export const RecordDocument = Type.Object({
  version: Type.Literal(1),
  /** The saved state that it needs. */
  state: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  /** Names of the trees that it needs. */
  trees: Type.Array(Name, { maxItems: 16 }),
  /** For whoever wrote it. */
  content: Type.Unknown(),
});

export type RecordDocument = Static<typeof RecordDocument>;

/** What refers to a saved state, and with it keeps it in the store. */
export type StoredRecord = Omit<RecordDocument, 'version'>;

export const STATES = 'states/';
export const TREES = 'trees/';
export const RECORDS = 'records/';

/** Paths of the files of a folder and of its folders, but for the manifest. */
export async function filesOf(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const paths = await Promise.all(
    entries.map(async (entry) => {
      if (!entry.isDirectory()) return [entry.name];
      return (await readdir(join(dir, entry.name))).map((name) => join(entry.name, name));
    }),
  );
  return paths.flat().filter((path) => path !== MANIFEST);
}

/** False if two files would have one name, or one the name of another's folder, or of the manifest. */
export function canLieTogether(paths: readonly string[]): boolean {
  const taken = new Set([MANIFEST, ...paths]);
  return taken.size === paths.length + 1 && paths.every((path) => !taken.has(dirname(path)));
}
