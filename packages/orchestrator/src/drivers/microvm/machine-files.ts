import { chmod, chown, copyFile, link, mkdir, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FILES, type MachineShape } from './command-line.ts';
import { writeEmptyQcow2 } from './qcow2.ts';

/**
 * What many machines and snapshots have in common lies in this folder of a snapshot, as hard links: it was written once
 * and never changes, and nothing has to be copied, summed or read to start from it.
 */
const SHARED = 'shared';

export async function readShape(dir: string): Promise<MachineShape> {
  return JSON.parse(await readFile(join(dir, FILES.shape), 'utf8')) as MachineShape;
}

export function writeShape(dir: string, shape: MachineShape): Promise<void> {
  return writeFile(join(dir, FILES.shape), JSON.stringify(shape), { mode: 0o600 });
}

export interface BootImages {
  root: string;
  guest: string;
  emptyDisk: string;
}

/** Lays out the folder of a machine that boots. `uid` is who runs it. */
export async function layOutBoot(
  dir: string,
  images: BootImages,
  size: { cpuCount: number; memoryMb: number; diskBytes: number },
  uid: number,
): Promise<MachineShape> {
  const shape = { ...size, layers: ['disk-0'], ownsMemory: true };
  await link(images.root, join(dir, FILES.root));
  await link(images.guest, join(dir, FILES.guest));
  await link(images.emptyDisk, join(dir, 'disk-0'));
  const memory = join(dir, FILES.memory);
  await writeFile(memory, '', { mode: 0o600 });
  await truncate(memory, size.memoryMb * 1024 * 1024);
  await addLayer(dir, shape, uid);
  await hand(dir, uid);
  await writeShape(dir, shape);
  return shape;
}

/** Lays out the folder of a machine that goes on from a snapshot. */
export async function layOutRestore(dir: string, snapshotDir: string, uid: number): Promise<MachineShape> {
  const saved = await readShape(snapshotDir);
  const shape = { ...saved, ownsMemory: false };
  const last = saved.layers.at(-1) as string;
  const shared = [FILES.root, FILES.guest, FILES.memory, ...saved.layers.slice(0, -1)];
  await Promise.all([
    ...shared.map((name) => link(join(snapshotDir, SHARED, name), join(dir, name))),
    link(join(snapshotDir, last), join(dir, last)),
    // QEMU reads it when it has given up its privileges already.
    copyFile(join(snapshotDir, FILES.devices), join(dir, FILES.devices)),
  ]);
  await hand(join(dir, FILES.devices), uid);
  await addLayer(dir, shape, uid);
  await hand(dir, uid);
  await writeShape(dir, shape);
  return shape;
}

/** Makes a new empty layer and puts it on top of the disk in `shape`. */
export async function addLayer(dir: string, shape: MachineShape, uid: number): Promise<string> {
  const last = shape.layers.at(-1) as string;
  const layer = `disk-${Number(last.slice('disk-'.length)) + 1}`;
  await writeEmptyQcow2(join(dir, layer), shape.diskBytes);
  await hand(join(dir, layer), uid);
  shape.layers = [...shape.layers, layer];
  return layer;
}

/**
 * Puts what makes a snapshot beside the saved memory and devices into its folder. `shape` is the machine's as it was saved;
 * its last layer must not be written any more.
 */
export async function collectSnapshot(dir: string, shape: MachineShape, snapshotDir: string): Promise<void> {
  const shared = join(snapshotDir, SHARED);
  await mkdir(shared, { mode: 0o700 });
  const last = shape.layers.at(-1) as string;
  for (const name of [FILES.root, FILES.guest, ...shape.layers.slice(0, -1)]) {
    await link(join(dir, name), join(shared, name));
  }
  // An empty one of a machine that booted has been in use until now, like the last layer.
  await freeze(join(dir, last));
  await link(join(dir, last), join(snapshotDir, last));
  if (!shape.ownsMemory) await link(join(dir, FILES.memory), join(shared, FILES.memory));
  await freeze(join(dir, FILES.devices));
  await rename(join(dir, FILES.devices), join(snapshotDir, FILES.devices));
  await writeShape(snapshotDir, shape);
}

/** Makes the memory that a machine wrote while it ran, and does not write any more, a snapshot's. */
export async function collectMemory(dir: string, snapshotDir: string): Promise<void> {
  await freeze(join(dir, FILES.memory));
  await link(join(dir, FILES.memory), join(snapshotDir, SHARED, FILES.memory));
}

export function sharedMemory(snapshotDir: string): string {
  return join(snapshotDir, SHARED, FILES.memory);
}

/** Takes a file away from whom it was handed to. */
async function freeze(file: string): Promise<void> {
  await chown(file, 0, 0);
  await chmod(file, 0o400);
}

function hand(path: string, uid: number): Promise<void> {
  return chown(path, uid, uid);
}
