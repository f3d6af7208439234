import { constants } from 'node:fs';
import { withForeignCalls } from '../../../host/foreign-calls.ts';
import { type Qmp, QmpError } from './qmp.ts';

/** System calls of x86-64, and what mmap takes. */
const [OPEN, CLOSE, MMAP] = [2, 3, 9];
const PROT_READ_WRITE = 3n;
const MAP_PRIVATE_FIXED = 0x12n;

/**
 * Maps a file copy-on-write over the memory of a QEMU whose machine has not run yet. `path` is as QEMU sees it. QEMU itself
 * would do so with a `memory-backend-file`, but gives no page of one back: it would have to punch a hole into the file. Of memory
 * that has no file, as far as QEMU knows, it lets the process's own pages go, and the file's content shows again.
 */
export async function mapMemory(qmp: Qmp, pid: number, path: string): Promise<void> {
  const blocks = String(await qmp.execute('human-monitor-command', { 'command-line': 'info ramblock' }));
  const [address, bytes] = memoryBlock(blocks);
  await withForeignCalls(pid, (call, scratch) => {
    scratch.put(path);
    const file = call('open of the memory', OPEN, scratch.address, BigInt(constants.O_RDONLY), 0n);
    try {
      call('mmap of the memory', MMAP, address, bytes, PROT_READ_WRITE, MAP_PRIVATE_FIXED, file, 0n);
    } finally {
      call('close', CLOSE, file);
    }
  });
}

/** Where QEMU has the guest's memory, and its size: name, page size, offset, used, total, address, access. */
export function memoryBlock(blocks: string): [address: bigint, bytes: bigint] {
  const [, total, address] = /^\s*ram\s+\d+ \S+\s+0x\w+\s+0x\w+\s+(0x\w+)\s+(0x\w+)/m.exec(blocks) ?? [];
  if (total === undefined || address === undefined) throw new QmpError(`QEMU tells of no memory: ${blocks}`);
  return [BigInt(address), BigInt(total)];
}
