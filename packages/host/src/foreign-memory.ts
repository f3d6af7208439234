import { openProgram, SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';

/** Bytes that follow each other in another process's memory. */
export interface Place {
  address: number;
  bytes: number;
}

/** Copies between a buffer of this process and places in another's memory, which together are as large as the buffer. */
export interface ForeignMemory {
  /** @throws SystemError; Error if a place is not readable. */
  read(places: readonly Place[], into: Buffer): void;
  /** @throws SystemError; Error if a place is not writable. */
  write(places: readonly Place[], from: Buffer): void;
}

/** The kernel takes so many places in one call (IOV_MAX). */
const MOST_PLACES = 1024;
const WORD_BYTES = 8;

/** struct iovec. */
const VECTOR = koffi.struct({ base: 'void *', bytes: 'size_t' });

/**
 * Opens another process's memory, through process_vm_readv(2) and its counterpart: a thousand small pieces take one call, where by
 * `/proc/<pid>/mem` each takes one. Needs what ptrace(2) needs.
 */
export function openForeignMemory(pid: number): ForeignMemory {
  const program = openProgram();
  const signature = ['int', koffi.pointer(VECTOR), 'ulong', 'void *', 'ulong', 'ulong'];
  const transfer = (name: string) => {
    const call = program.func(name, 'long', signature);
    return (places: readonly Place[], buffer: Buffer) => {
      let done = 0;
      for (let first = 0; first < places.length; first += MOST_PLACES) {
        const some = places.slice(first, first + MOST_PLACES);
        const bytes = some.reduce((sum, place) => sum + place.bytes, 0);
        const remote = new BigUint64Array(2 * some.length);
        for (const [i, place] of some.entries()) {
          remote[2 * i] = BigInt(place.address);
          remote[2 * i + 1] = BigInt(place.bytes);
        }
        const local = [{ base: buffer.subarray(done, done + bytes), bytes }];
        const count = Number(
          call(pid, local, 1, Buffer.from(remote.buffer), remote.byteLength / 2 / WORD_BYTES, 0),
        );
        if (count === -1) throw new SystemError(name, koffi.errno());
        if (count !== bytes) throw new Error(`${name} of process ${pid} came to ${count} of ${bytes} bytes`);
        done += bytes;
      }
    };
  };
  return { read: transfer('process_vm_readv'), write: transfer('process_vm_writev') };
}
