import { readFile, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { DamagedSnapshotError, sumFile } from '@islet/driver';
import {
  collect,
  FILES,
  type MachineShape,
  memoryLayerFile,
  sharedFile,
  writeWhole,
} from '../machine-files.ts';
import type { MachineSite } from '../vmm.ts';
import { findOwnPages, type Mapping, PAGE_BYTES } from './pagemap.ts';
import { savePages } from './pages.ts';
import { addLayer, decodeRuns, encodeRuns, type MemoryLayer, planSave, type SavedRun } from './runs.ts';

/** Where a running machine has its memory, and what that shows where the pages are not the machine's own. */
export interface MachineMemory {
  mapping: Mapping;
  /** Of its layers; elsewhere it is the template's memory. */
  shown: SavedRun[];
}

/** What was saved of a machine's memory. */
export interface SavedMemory {
  /** The snapshot's; all but the newest are the machine's too. */
  layers: MemoryLayer[];
  newest: MemoryLayer;
  pages: SavedRun[];
  /** As it was until then. */
  of: MachineMemory;
}

/** Files that were found whole and are remembered so. */
const MOST_KNOWN = 10_000;

/** To be told before the machine runs. */
export function recordMemory({ stateDir }: MachineSite, memory: MachineMemory): Promise<void> {
  return writeWhole(join(stateDir, 'memory'), memory);
}

async function readMemory({ stateDir }: MachineSite): Promise<MachineMemory> {
  return JSON.parse(await readFile(join(stateDir, 'memory'), 'utf8')) as MachineMemory;
}

/** The pages that a snapshot has beside its template's memory, in order. */
export async function savedPages(snapshotDir: string, { memoryLayers }: MachineShape): Promise<SavedRun[]> {
  return memoryLayers.length === 0 ? [] : decodeRuns(await readFile(join(snapshotDir, FILES.pages)));
}

/**
 * The layers of saved memory on this node. They carry sums as all that is saved, but to read a gigabyte before each start would cost
 * more than the start: a file is read only if this process has neither written nor read it, or where it changed.
 */
export class MemoryLayers {
  readonly #known = new Map<string, string>();

  /**
   * Saves what a stopped machine that started from a snapshot has in memory, beside its template's memory: its own pages in a new layer, and
   * links to the layers that it goes on to show. `dir` is where the machine has those.
   */
  async save(
    site: MachineSite,
    dir: string,
    { memoryLayers }: MachineShape,
    snapshotDir: string,
  ): Promise<SavedMemory> {
    const { mapping, shown } = await readMemory(site);
    const { kept, written } = planSave(shown, await findOwnPages(mapping), memoryLayers);
    const number = Math.max(0, ...memoryLayers.map((layer) => layer.number)) + 1;
    const file = sharedFile(snapshotDir, memoryLayerFile(number));
    const layer = { number, ...(await savePages(mapping, written, file)) };
    this.#remember(await stateOf(file), layer);
    const stay = new Set(kept.map(({ layer }) => layer));
    const lower = memoryLayers.filter((each) => stay.has(each.number));
    for (const name of lower.map((each) => memoryLayerFile(each.number))) {
      await collect(join(dir, name), sharedFile(snapshotDir, name));
    }
    const pages = addLayer(kept, written, number);
    await writeFile(join(snapshotDir, FILES.pages), encodeRuns(pages));
    return { layers: [...lower, layer], newest: layer, pages, of: { mapping, shown } };
  }

  /** @throws DamagedSnapshotError */
  async assertIntact(snapshotDir: string, { memoryLayers }: MachineShape): Promise<void> {
    for (const layer of memoryLayers) {
      const file = sharedFile(snapshotDir, memoryLayerFile(layer.number));
      const name = relative(snapshotDir, file);
      const state = await stateOf(file);
      if (state?.bytes !== layer.pages * PAGE_BYTES) {
        throw new DamagedSnapshotError(
          `${name} has ${state?.bytes ?? 'no'} bytes where ${layer.pages * PAGE_BYTES} were written`,
        );
      }
      if (this.#known.get(state.inode) === `${state.modified} ${layer.crc32}`) continue;
      if ((await sumFile(file, false)).crc32 !== layer.crc32) {
        throw new DamagedSnapshotError(`the content of ${name} is not what was written`);
      }
      this.#remember(state, layer);
    }
  }

  #remember(state: LayerState | undefined, { crc32 }: MemoryLayer): void {
    if (!state) return;
    this.#known.delete(state.inode);
    this.#known.set(state.inode, `${state.modified} ${crc32}`);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_KNOWN) break;
      this.#known.delete(oldest);
    }
  }
}

interface LayerState {
  inode: string;
  bytes: number;
  modified: bigint;
}

/** Links leave the time of the last change of the content as it is. */
async function stateOf(file: string): Promise<LayerState | undefined> {
  const found = await stat(file, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found && { inode: `${found.dev}:${found.ino}`, bytes: Number(found.size), modified: found.mtimeNs };
}
