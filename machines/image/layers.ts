import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/run.ts';

/** Where an Islet of this host keeps the root file systems that it built, and where one of a machine does. */
export const LAYERS_DIR = '/var/cache/islet/layers';

/**
 * Packs the Debian root file systems in an Islet's cache, which are known by what they are made of. A machine that has them need not
 * make them, which takes more than half an hour if it is translated.
 * @returns the archive, or undefined if there are none
 */
export async function packLayers(cacheDir: string, signal: AbortSignal): Promise<string | undefined> {
  const names = await readdir(LAYERS_DIR).catch(() => []);
  const found: string[] = [];
  for (const name of names) if (await isShipped(join(LAYERS_DIR, name))) found.push(name);
  if (found.length === 0) return undefined;
  const archive = join(cacheDir, 'layers.tar');
  const packed = `${archive}.${process.pid}`;
  try {
    await run(['tar', '-C', LAYERS_DIR, '--xattrs', '--numeric-owner', '-cf', packed, ...found], { signal });
    // A machine of another run may have the one before as its disk: it keeps that.
    await rename(packed, archive);
  } finally {
    await rm(packed, { force: true });
  }
  return archive;
}

/** Only the templates that ship with Islet name packages. */
async function isShipped(layer: string): Promise<boolean> {
  const text = await readFile(join(layer, 'layer.json'), 'utf8').catch(() => '{}');
  const { debian, packages } = JSON.parse(text) as { debian?: string; packages?: string };
  return debian !== undefined && packages !== '';
}

/** A script that unpacks the archive on a machine, which has it as its second disk. */
export const UNPACK_LAYERS = `
install -d -m 700 /var/cache/islet ${LAYERS_DIR}
tar -C ${LAYERS_DIR} --xattrs --numeric-owner -xf /dev/vdb`;
