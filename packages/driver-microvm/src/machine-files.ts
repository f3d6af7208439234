import { constants, lchown, link, mkdir, open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MemoryLayer } from './memory/runs.ts';

/** Files of a machine, in its folder. */
export const FILES = {
  /** The template's root file system, an EROFS image. */
  root: 'root.erofs',
  /** node and envd, an EROFS image. */
  guest: 'guest.erofs',
  /** Guest memory. Of a machine that started from a snapshot: as it was in the first snapshot of its line. */
  memory: 'memory',
  /** Where the layers of a snapshot's memory have what is not as in `memory`. */
  pages: 'pages',
  /** The state of CPUs and devices. */
  devices: 'devices',
  shape: 'machine.json',
} as const;

/**
 * What many machines and snapshots have in common lies in this folder of a snapshot, as hard links: it was written once
 * and never changes, and nothing has to be copied, summed or read to start from it.
 */
const SHARED = 'shared';

export interface MachineSize {
  cpuCount: number;
  memoryMb: number;
  diskBytes: number;
}

export interface MachineShape extends MachineSize {
  /** Files of the writable disk, lowest layer first: `disk-0` is a raw ext4 image; the last one is written. */
  layers: string[];
  /** What was saved of its memory above `memory`. */
  memoryLayers: MemoryLayer[];
  /** True if the machine has all of its memory for itself, having booted. */
  ownsMemory: boolean;
}

export interface BootImages {
  root: string;
  guest: string;
  emptyDisk: string;
}

/** `dir` is a snapshot's, or one of a machine that its VMM does not reach: who could change the names in it chose files of the host. */
export async function readShape(dir: string): Promise<MachineShape> {
  return JSON.parse(await readFile(join(dir, FILES.shape), 'utf8')) as MachineShape;
}

export function writeShape(dir: string, shape: MachineShape): Promise<void> {
  return writeWhole(join(dir, FILES.shape), shape);
}

/** Writes what is known of a machine. Who reads it, after Islet was killed too, finds all of this or all of what was there before. */
export async function writeWhole(file: string, content: unknown): Promise<void> {
  const unfinished = `${file}.new`;
  await writeFile(unfinished, JSON.stringify(content), { mode: 0o600 });
  await rename(unfinished, file);
}

/** The layer of a disk that is written. */
export function topLayer({ layers }: MachineShape): string {
  return layers.at(-1) as string;
}

export async function linkImages(dir: string, { root, guest }: BootImages): Promise<void> {
  await link(root, join(dir, FILES.root));
  await link(guest, join(dir, FILES.guest));
}

export function memoryLayerFile(number: number): string {
  return `memory-${number}`;
}

/** Puts what a snapshot shares with its machines into a machine's folder. */
export async function linkShared(dir: string, snapshotDir: string, saved: MachineShape): Promise<void> {
  const memory = saved.memoryLayers.map(({ number }) => memoryLayerFile(number));
  const shared = [FILES.root, FILES.guest, FILES.memory, ...memory, ...saved.layers.slice(0, -1)];
  await Promise.all(shared.map((name) => link(sharedFile(snapshotDir, name), join(dir, name))));
}

/**
 * Puts what makes a snapshot into its folder, but for the topmost layer of its disk, layers of memory, and its shape. `shape` is
 * the machine's as it was saved.
 */
export async function collectSnapshot(dir: string, shape: MachineShape, snapshotDir: string): Promise<void> {
  const shared = join(snapshotDir, SHARED);
  await mkdir(shared, { mode: 0o700 });
  const names = [FILES.root, FILES.guest, ...shape.layers.slice(0, -1)];
  if (!shape.ownsMemory) names.push(FILES.memory);
  await Promise.all(names.map((name) => collect(join(dir, name), join(shared, name))));
  await rename(join(dir, FILES.devices), join(snapshotDir, FILES.devices));
  await freeze(join(snapshotDir, FILES.devices));
}

/** Makes a file of a machine that nobody writes any more a snapshot's. */
export async function collect(file: string, to: string): Promise<void> {
  await link(file, to);
  await freeze(to);
}

/** Where a snapshot has what it shares with others, or what is too large to be summed at each pause and resume. */
export function sharedFile(snapshotDir: string, name: string): string {
  return join(snapshotDir, SHARED, name);
}

/** Gives a file or folder to the user that runs a machine. Links are not followed. */
export function hand(path: string, uid: number): Promise<void> {
  return lchown(path, uid, uid);
}

/**
 * Takes a file away from whom it was handed to. It has to be out of their reach already, so that it cannot become another one
 * meanwhile. Whoever runs a machine from it may read it.
 * @throws Error if it is not a regular file: a VMM that was taken over may have put a link to one of the host's there.
 */
export async function freeze(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is not a file`);
    await file.chown(0, 0);
    await file.chmod(0o444);
  } finally {
    await file.close();
  }
}

export function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
