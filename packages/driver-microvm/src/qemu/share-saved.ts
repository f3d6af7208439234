import { link, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type MachineShape, memoryLayerFile, sharedFile, writeShape } from '../machine-files.ts';
import { planGoOn } from '../memory/runs.ts';
import { recordMemory, type SavedMemory } from '../memory/saved-memory.ts';
import type { RunningMachine } from '../vmm.ts';
import { mapLayers } from './map-memory.ts';

/**
 * Has a stopped machine that was saved and goes on map what was saved, in place of its own pages with that content: it shares them then with what
 * starts from there, and its next save does not write them again. `shape` is the machine's, and is told of the layer.
 */
export async function shareSaved(
  machine: RunningMachine,
  shape: MachineShape,
  { newest, of, pages }: SavedMemory,
  snapshotDir: string,
): Promise<void> {
  const { mapped, shown } = planGoOn(of.shown, pages, newest.number);
  if (mapped.length === 0) return;
  const { dir, stateDir } = machine;
  const file = memoryLayerFile(newest.number);
  // A try that failed may have left one, or QEMU a link.
  await rm(join(dir, file), { force: true });
  await link(sharedFile(snapshotDir, file), join(dir, file));
  const needed = new Set(shown.map(({ layer }) => layer));
  const unneeded = shape.memoryLayers.filter(({ number }) => !needed.has(number));
  shape.memoryLayers = [...shape.memoryLayers, newest].filter(({ number }) => needed.has(number));
  // Before it is so: where this is cut off, its own pages hide what they would have been replaced by.
  await writeShape(stateDir, shape);
  await recordMemory(machine, { mapping: of.mapping, shown });
  await mapLayers(of.mapping, mapped);
  for (const { number } of unneeded) await rm(join(dir, memoryLayerFile(number)), { force: true });
}
