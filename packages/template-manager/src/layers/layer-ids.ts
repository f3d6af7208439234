import { readdir } from 'node:fs/promises';

/** Ids of the layers with this key, the newest last: the key, and `<key>.<n>` for each time that it was made again. */
export async function idsOf(layersDir: string, key: string): Promise<string[]> {
  const names = await readdir(layersDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const own = names.filter((name) => name === key || name.startsWith(`${key}.`));
  return own.sort((a, b) => generationOf(a) - generationOf(b));
}

/** The id of the layer with this key that is made next. */
export async function nextId(layersDir: string, key: string): Promise<string> {
  const newest = (await idsOf(layersDir, key)).at(-1);
  return newest === undefined ? key : `${key}.${generationOf(newest) + 1}`;
}

function generationOf(id: string): number {
  return Number(id.split('.')[1] ?? 1);
}
