import { closeSync, readSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { type Readiness, watchReadiness } from '../native/readiness.ts';
import type { OutputKind } from './subscription.ts';

/** Largest piece of a pipe's output in one event. */
export const PIPE_CHUNK_BYTES = 32 * 1024;
/** Largest piece of a terminal's output in one event. */
export const TERMINAL_CHUNK_BYTES = 16 * 1024;

/** Where a process's output comes from. */
export interface Output {
  /** Stops reading, so that the process waits once the kernel's buffer is full. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface OutputListener {
  onData(kind: OutputKind, bytes: Uint8Array): void;
  /** Called once: all writers are gone, or reading has failed or been closed. */
  onEnd(): void;
}

/** Where a process's input goes. */
export interface Input {
  /** Resolves when the kernel has taken all bytes. */
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** Reads a pipe's end. */
export function readPipe(fd: number, kind: 'stdout' | 'stderr', listener: OutputListener): Output {
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; at += PIPE_CHUNK_BYTES) {
      listener.onData(kind, chunk.subarray(at, at + PIPE_CHUNK_BYTES));
    }
  });
  // A failing read ends the output like EOF does: the process may go on without it.
  socket.on('error', () => {});
  socket.once('close', () => listener.onEnd());
  return {
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
  };
}

/** Writes into a pipe's end. */
export function writePipe(fd: number): Input {
  const socket = new Socket({ fd, readable: false, writable: true });
  // The write's own callback gets the error; without a listener it would end the daemon.
  socket.on('error', () => {});
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    // Waits for what is still queued, then closes: the reader sees all of it before EOF.
    close: () => void socket.end(() => socket.destroy()),
  };
}

interface PendingWrite {
  bytes: Uint8Array;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** Both directions of a terminal's master side. */
export class TerminalIo implements Output, Input {
  readonly #fd: number;
  readonly #listener: OutputListener;
  readonly #readiness: Readiness;
  readonly #buffer = Buffer.allocUnsafe(TERMINAL_CHUNK_BYTES);
  readonly #writes: PendingWrite[] = [];
  #paused = false;
  #closed = false;

  constructor(master: number, listener: OutputListener) {
    this.#fd = master;
    this.#listener = listener;
    this.#readiness = watchReadiness(master, () => this.#onReady());
    this.#update();
  }

  pause(): void {
    this.#paused = true;
    this.#update();
  }

  resume(): void {
    this.#paused = false;
    this.#update();
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.reject(new Error('terminal is closed'));
    return new Promise((resolve, reject) => {
      this.#writes.push({ bytes, resolve, reject });
      this.#flush();
      this.#update();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#readiness.close();
    closeSync(this.#fd);
    for (const write of this.#writes.splice(0)) write.reject(new Error('terminal is closed'));
    this.#listener.onEnd();
  }

  #update(): void {
    if (!this.#closed) this.#readiness.want({ read: !this.#paused, write: this.#writes.length > 0 });
  }

  #onReady(): void {
    this.#flush();
    if (!this.#paused) this.#read();
    this.#update();
  }

  /** A few chunks a turn, so that one noisy terminal does not starve the rest. */
  #read(): void {
    for (let turn = 0; turn < 8 && !this.#paused && !this.#closed; turn++) {
      let length: number;
      try {
        length = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, null);
      } catch (error) {
        if (isAgain(error)) return;
        // EIO: the last program that had the terminal open is gone.
        this.close();
        return;
      }
      if (length === 0) {
        this.close();
        return;
      }
      this.#listener.onData('pty', Uint8Array.prototype.slice.call(this.#buffer, 0, length));
      if (length < this.#buffer.length) return;
    }
  }

  #flush(): void {
    while (!this.#closed) {
      const write = this.#writes[0];
      if (!write) return;
      try {
        const written = writeSync(this.#fd, write.bytes);
        if (written < write.bytes.length) {
          write.bytes = write.bytes.subarray(written);
          continue;
        }
      } catch (error) {
        if (isAgain(error)) return;
        this.#writes.shift();
        write.reject(error as Error);
        continue;
      }
      this.#writes.shift();
      write.resolve();
    }
  }
}

function isAgain(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN';
}
