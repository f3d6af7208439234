import { closeSync, ftruncateSync, readSync } from 'node:fs';
import { openProgram, SystemError } from '@islet/posix-spawn';
import koffi from 'koffi';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;

/**
 * What a program says, of which the beginning is kept: a file in memory that the kernel lets nobody make larger. What is written behind its
 * end is refused to the program, which is not stopped by it as it would be by a full pipe. Its memory is the program's.
 */
export class BoundedLog {
  /** To be the program's stdout or stderr; closed with this log. */
  readonly descriptor: number;
  readonly #bytes: number;

  private constructor(descriptor: number, bytes: number) {
    this.descriptor = descriptor;
    this.#bytes = bytes;
  }

  /** @throws SystemError */
  static open(name: string, bytes: number): BoundedLog {
    const program = openProgram();
    const memfdCreate = program.func('int memfd_create(const char *, uint)');
    const fcntl = program.func('int fcntl(int, int, int)');
    const descriptor: number = memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) throw new SystemError('memfd_create', koffi.errno());
    const log = new BoundedLog(descriptor, bytes);
    try {
      ftruncateSync(descriptor, bytes);
      if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        throw new SystemError('fcntl', koffi.errno());
      return log;
    } catch (error) {
      log.close();
      throw error;
    }
  }

  /** What was said so far. */
  text(): string {
    const bytes = Buffer.alloc(this.#bytes);
    const count = readSync(this.descriptor, bytes, 0, bytes.length, 0);
    const end = bytes.indexOf(0);
    return bytes.toString('utf8', 0, end < 0 ? count : end);
  }

  close(): void {
    closeSync(this.descriptor);
  }
}
