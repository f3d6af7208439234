import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from 'typebox';
import { Value } from 'typebox/value';

/** What is kept beside a layer; its time of modification is when the layer was last asked for. */
export const LAYER_NOTE = 'layer.json';

/** What is written beside a layer. */
export interface LayerNote {
  [about: string]: string | number | undefined;
  /** The build for which it was made again. */
  madeFor: string | undefined;
  bytes: number;
  /** Absent in layers of earlier versions that were not asked for since. */
  digest?: string;
}

const NOTE = Type.Object({
  madeFor: Type.Optional(Type.String()),
  bytes: Type.Optional(Type.Number({ minimum: 0 })),
  digest: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
});

/** An earlier note is replaced at once. */
export async function writeNote(dir: string, note: LayerNote): Promise<void> {
  const unfinished = join(dir, `${LAYER_NOTE}.${crypto.randomUUID()}`);
  await writeFile(unfinished, `${JSON.stringify(note, undefined, 2)}\n`);
  await rename(unfinished, join(dir, LAYER_NOTE));
}

/** The note in a layer's folder; undefined if there is none that can be read. */
export async function readNote(dir: string): Promise<Partial<LayerNote> | undefined> {
  try {
    const note: unknown = JSON.parse(await readFile(join(dir, LAYER_NOTE), 'utf8'));
    return Value.Check(NOTE, note) ? note : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
