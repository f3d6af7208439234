import { isRecord, QmpFormatError } from './qmp-messages.ts';

/** Answers of QEMU's, read as what they have to be. All throw QmpFormatError. */

/** More are none of a machine's: each layer of its disk makes two. */
const MOST_NODES = 200;

/** Of `query-status`. */
export function readStatus(answer: unknown): { status: string; running: boolean } {
  if (isRecord(answer) && typeof answer.status === 'string' && typeof answer.running === 'boolean') {
    return { status: answer.status, running: answer.running };
  }
  throw new QmpFormatError('QEMU does not tell whether its machine runs');
}

/** Of `query-block`: the names of the nodes that the machine's drives show. */
export function readDrives(answer: unknown): string[] {
  return recordsIn(answer).flatMap(({ inserted }) => {
    const name = isRecord(inserted) ? inserted['node-name'] : undefined;
    return typeof name === 'string' ? [name] : [];
  });
}

/** Of `query-named-block-nodes`: all that QEMU has open as a disk or a part of one. */
export function readNodes(answer: unknown): { name: string; file: string }[] {
  return recordsIn(answer).map(({ 'node-name': name, file }) => {
    if (typeof name === 'string' && typeof file === 'string') return { name, file };
    throw new QmpFormatError('QEMU tells of a node that has no name');
  });
}

/** Of `info ramblock`: where QEMU has the guest's memory, and its size. Each line is name, page size, offset, used, total, address, access. */
export function readMemoryBlock(answer: unknown): { address: bigint; bytes: bigint } {
  const lines = typeof answer === 'string' ? answer.split('\n') : [];
  const ram = lines.map((line) => line.trim().split(/\s+/)).find(([name]) => name === 'ram');
  const numbers = ram?.flatMap((field) => /^0x[0-9a-f]{1,16}$/.exec(field) ?? []);
  const [, , total, address] = numbers ?? [];
  if (total === undefined || address === undefined) throw new QmpFormatError('QEMU tells of no memory');
  return { address: BigInt(address), bytes: BigInt(total) };
}

function recordsIn(answer: unknown): Record<string, unknown>[] {
  if (Array.isArray(answer) && answer.length <= MOST_NODES && answer.every(isRecord)) return answer;
  throw new QmpFormatError('QEMU does not tell of its disks');
}
