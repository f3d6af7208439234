import { chmod, copyFile, link, open, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BootImages,
  FILES,
  hand,
  linkImages,
  linkShared,
  type MachineShape,
  type MachineSize,
  readShape,
  topLayer,
  writeShape,
} from '../machine-files.ts';
import type { MachineSite } from '../vmm.ts';
import { blockNodes } from './command-line.ts';
import { writeEmptyQcow2 } from './qcow2.ts';
import type { Qmp } from './qmp.ts';
import { readDrives, readNodes } from './qmp-answers.ts';

/** QEMU finds what is in it, and can make nothing there: what it may write are files that it was given, each with a limit. */
const FOLDER_MODE = 0o711;

/** Names of a disk's layers begin with it; a number follows. */
const DISK = 'disk-';

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
  await chmod(dir, FOLDER_MODE);
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
  await chmod(dir, FOLDER_MODE);
  await writeShape(stateDir, shape);
  return shape;
}

/**
 * What a running machine is made of, as it is written down and as QEMU has it: Islet may have been killed after QEMU began to write into a new
 * layer, and before that was written down. What was saved without that layer would lack all that the machine has written since.
 * @throws Error where QEMU writes into another file than either
 */
export async function readRunningShape(qmp: Pick<Qmp, 'execute'>, stateDir: string): Promise<MachineShape> {
  const shape = await readShape(stateDir);
  const nodes = readDrives(await qmp.execute('query-block'));
  const written = nodes.find((node) => node.startsWith(DISK));
  const known = topLayer(shape);
  if (written === known) return shape;
  if (written !== layerAbove(known)) throw new Error(`QEMU writes into ${written}, not into ${known}`);
  shape.layers = [...shape.layers, written];
  await writeShape(stateDir, shape);
  return shape;
}

/**
 * Makes sure that a QEMU whose machine has not run yet has opened the machine's files and no others. A layer is what an earlier QEMU wrote, which may have
 * been taken over, and it may name a file of the host as the place of its data: QEMU opens that as root. To look into the layer before would not do where
 * that earlier QEMU still has it open.
 * @throws Error
 */
export async function assertNoOtherFiles(qmp: Pick<Qmp, 'execute'>, { layers }: MachineShape): Promise<void> {
  const nodes = readNodes(await qmp.execute('query-named-block-nodes', { flat: true }));
  const known = blockNodes(layers);
  const other = nodes.find(({ name }) => !known.has(name));
  if (other) throw new Error(`a layer of the disk names ${other.file}, which is no file of the machine`);
}

/** The name of the layer that goes on top of another one. */
export function layerAbove(layer: string): string {
  return `${DISK}${Number(layer.slice(DISK.length)) + 1}`;
}

/** Makes a new empty layer, a qcow2 image, and puts it on top of the disk in `shape`. */
export async function addLayer(dir: string, shape: MachineShape, uid: number): Promise<string> {
  const layer = layerAbove(topLayer(shape));
  // A try that failed may have left one, or QEMU a link.
  await rm(join(dir, layer), { force: true });
  await writeEmptyQcow2(join(dir, layer), shape.diskBytes, uid);
  shape.layers = [...shape.layers, layer];
  return layer;
}

/** Makes the file that QEMU writes its devices' state into: it cannot make any itself. */
export async function layOutDevices({ dir, uid }: MachineSite): Promise<void> {
  const file = join(dir, FILES.devices);
  await rm(file, { force: true });
  const made = await open(file, 'wx', 0o600);
  try {
    await made.chown(uid, uid);
  } finally {
    await made.close();
  }
}
