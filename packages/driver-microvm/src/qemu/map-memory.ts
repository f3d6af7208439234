import { constants } from 'node:fs';
import { killByPid, withForeignCalls } from '@islet/host';
import { FILES, type MachineSize, memoryLayerFile } from '../machine-files.ts';
import { type Mapping, PAGE_BYTES } from '../memory/pagemap.ts';
import type { SavedRun } from '../memory/runs.ts';
import { type Qmp, QmpError } from './qmp.ts';
import { readMemoryBlock } from './qmp-answers.ts';

/** System calls of x86-64, and what mmap takes. */
const [OPEN, CLOSE, MMAP] = [2, 3, 9];
const READ_WRITE = 3n;
const PRIVATE_FIXED = 0x12n;
/** Names in a machine's folder are its QEMU's to change: nobody waits for who would write to a pipe. */
const OPEN_FLAGS = BigInt(constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);

/**
 * Maps files copy-on-write over the memory of a QEMU whose machine has not run yet: its template's memory, and of layers above it
 * what `runs` say. Files are opened by QEMU, in its folder. QEMU itself would do so with a `memory-backend-file`, of one file, but gives
 * no page of one back: it would have to punch a hole into the file. Of memory that has no file, as far as QEMU knows, it lets
 * the process's own pages go, and the file's content shows again.
 */
export async function mapMemory(
  qmp: Qmp,
  pid: number,
  { memoryMb }: MachineSize,
  runs: readonly SavedRun[],
): Promise<Mapping> {
  const answer = await qmp.execute('human-monitor-command', { 'command-line': 'info ramblock' });
  const { address, bytes } = readMemoryBlock(answer);
  if (bytes !== BigInt(memoryMb) * 1024n * 1024n)
    throw new QmpError(`QEMU has ${bytes} bytes of memory, not the machine's ${memoryMb} MiB`);
  const pages = Number(bytes) / PAGE_BYTES;
  const mapping = { pid, regions: [{ start: Number(address), page: 0, count: pages }] };
  await mapFiles(mapping, [
    { file: FILES.memory, runs: [{ page: 0, count: pages, at: 0 }] },
    ...ofLayers(runs),
  ]);
  return mapping;
}

/** Maps `runs` of layers over a memory that `mapMemory` has mapped, of a machine that is stopped. */
export function mapLayers(mapping: Mapping, runs: readonly SavedRun[]): Promise<void> {
  return mapFiles(mapping, ofLayers(runs));
}

interface MappedFile {
  file: string;
  runs: readonly Omit<SavedRun, 'layer'>[];
}

function ofLayers(runs: readonly SavedRun[]): MappedFile[] {
  const layers = [...new Set(runs.map(({ layer }) => layer))];
  return layers.map((layer) => ({
    file: memoryLayerFile(layer),
    runs: runs.filter((run) => run.layer === layer),
  }));
}

async function mapFiles({ pid, regions }: Mapping, files: readonly MappedFile[]): Promise<void> {
  const start = regions[0]?.start ?? 0;
  let mapping = false;
  try {
    await withForeignCalls(pid, ({ call, callAll, scratch }) => {
      const opened: bigint[] = [];
      try {
        const maps = files.flatMap(({ file, runs }) => {
          scratch.put(`/${file}`);
          const fd = call(`open of ${file}`, OPEN, scratch.address, OPEN_FLAGS, 0n);
          opened.push(fd);
          return runs.map(({ page, count, at }) => {
            const target = BigInt(start + page * PAGE_BYTES);
            const [length, offset] = [BigInt(count * PAGE_BYTES), BigInt(at * PAGE_BYTES)];
            const args = [target, length, READ_WRITE, PRIVATE_FIXED, fd, offset];
            return { name: `mmap of ${file}`, call: MMAP, args };
          });
        });
        mapping = true;
        callAll(maps);
        mapping = false;
      } finally {
        callAll(opened.map((fd) => ({ name: 'close', call: CLOSE, args: [fd] })));
      }
    });
  } catch (error) {
    // What fails may have taken away what was there, and what QEMU asks for next could come to lie in the guest's memory.
    if (mapping) await killByPid(pid);
    throw error;
  }
}
