import { copyFile, link, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BootImages,
  FILES,
  hand,
  linkImages,
  linkShared,
  type MachineShape,
  type MachineSize,
  topLayer,
  writeShape,
} from '../machine-files.ts';
import type { MachineSite } from '../vmm.ts';
import { writeEmptyQcow2 } from './qcow2.ts';

/** Lays out the folder of a machine that boots: its memory is a file that it writes. */
export async function layOutBoot(
  { dir, stateDir, uid }: MachineSite,
  images: BootImages,
  size: MachineSize,
): Promise<MachineShape> {
  const shape = { ...size, layers: ['disk-0'], memoryLayers: [], ownsMemory: true };
  await linkImages(dir, images);
  await link(images.emptyDisk, join(dir, 'disk-0'));
  const memory = join(dir, FILES.memory);
  await writeFile(memory, '', { mode: 0o600 });
  await truncate(memory, size.memoryMb * 1024 * 1024);
  await addLayer(dir, shape, uid);
  await hand(dir, uid);
  await writeShape(stateDir, shape);
  return shape;
}

/** Lays out the folder of a machine that goes on from a snapshot. */
export async function layOutRestore(
  { dir, stateDir, uid }: MachineSite,
  snapshotDir: string,
  saved: MachineShape,
): Promise<MachineShape> {
  const shape = { ...saved, ownsMemory: false };
  const last = topLayer(saved);
  await Promise.all([
    linkShared(dir, snapshotDir, saved),
    link(join(snapshotDir, last), join(dir, last)),
    // QEMU reads it when it has given up its privileges already.
    copyFile(join(snapshotDir, FILES.devices), join(dir, FILES.devices)),
  ]);
  await hand(join(dir, FILES.devices), uid);
  await addLayer(dir, shape, uid);
  await hand(dir, uid);
  await writeShape(stateDir, shape);
  return shape;
}

/** Makes a new empty layer, a qcow2 image, and puts it on top of the disk in `shape`. */
export async function addLayer(dir: string, shape: MachineShape, uid: number): Promise<string> {
  const layer = `disk-${Number(topLayer(shape).slice('disk-'.length)) + 1}`;
  // A try that failed may have left one, or QEMU a link.
  await rm(join(dir, layer), { force: true });
  await writeEmptyQcow2(join(dir, layer), shape.diskBytes);
  await hand(join(dir, layer), uid);
  shape.layers = [...shape.layers, layer];
  return layer;
}
