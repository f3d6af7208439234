import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a pipe of Linux can hold at most without privileges: so much is read of one at once, whoever goes on to write. */
const MOST_IN_A_PIPE = 1024 * 1024;

export interface OutputPipes {
  stdout: OutputPipe;
  stderr: OutputPipe;
}

/**
 * Two real pipes. Those that Node makes are sockets, which `/dev/stdout` cannot be opened on, and which cannot be asked
 * whether they are empty.
 */
export async function openOutputPipes(): Promise<OutputPipes> {
  const directory = await mkdtemp(join(tmpdir(), 'islet-host-'));
  try {
    const [stdout, stderr] = ['stdout', 'stderr'].map((name) => join(directory, name)) as [string, string];
    await run('mkfifo', ['-m', '600', stdout, stderr]);
    return { stdout: new OutputPipe(stdout), stderr: new OutputPipe(stderr) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A pipe that a process writes text to. */
export class OutputPipe {
  /** For the process; to be closed here once it has it. */
  readonly writer: number;
  readonly #reader: number;
  readonly #socket: Socket;
  readonly #decoder = new StringDecoder('utf8');

  constructor(path: string) {
    this.#reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.writer = openSync(path, constants.O_WRONLY);
    this.#socket = new Socket({ fd: this.#reader, readable: true, writable: false });
    this.#socket.on('error', () => undefined);
  }

  closeWriter(): void {
    closeSync(this.writer);
  }

  /** Calls back whenever there may be something to read. Nobody reads more than a chunk ahead of `read`. */
  onReadable(listener: () => void): void {
    this.#socket.on('readable', listener);
  }

  /** What has come and was not read yet: one chunk, or undefined if there is none in memory. */
  read(): string | undefined {
    const chunk: Buffer | null = this.#socket.read();
    return chunk === null ? undefined : this.#decoder.write(chunk);
  }

  /** All that was written up to now, chunk by chunk, also what is still in the pipe. */
  *readAll(): Generator<string> {
    for (let chunk = this.read(); chunk !== undefined; chunk = this.read()) yield chunk;
    const buffer = Buffer.allocUnsafe(64 * 1024);
    // Its descriptor is closed before it says so, and may be another file's by then.
    for (let total = 0; total < MOST_IN_A_PIPE && !this.#socket.destroyed; ) {
      const length = this.#readNow(buffer);
      if (length === 0) return;
      total += length;
      yield this.#decoder.write(buffer.subarray(0, length));
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  /** 0 if the pipe is empty or at its end. */
  #readNow(buffer: Buffer): number {
    try {
      return readSync(this.#reader, buffer);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      throw cause;
    }
  }
}
