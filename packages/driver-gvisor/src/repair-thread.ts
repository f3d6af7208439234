import { Worker } from 'node:worker_threads';
import { StateFileError, TornFileError } from './chunk-reader.ts';
import type { RepairAnswer, RepairTask } from './repair-main.ts';

export interface RepairThreadOptions {
  /** The thread's program, bundled. */
  program: string;
  /** Longest look at one checkpoint, ms. */
  limitMs?: number;
  /** What the thread's objects may take, MiB. */
  heapMb?: number;
}

/**
 * A checkpoint of 20,000 files takes some 0.2 s; a sandbox that needs more than this has its pause, but goes without.
 */
const LIMIT_MS = 10_000;

/** A checkpoint of 20,000 files takes some 30 of them. */
const HEAP_MB = 256;

interface Asked {
  resolve: (found: number) => void;
  reject: (error: Error) => void;
}

function errorOf({ message, fault }: Exclude<RepairAnswer, { found: number }>): Error {
  switch (fault) {
    case 'torn':
      return new TornFileError(message);
    case 'unreadable':
      return new StateFileError(message);
    case 'other':
      return new Error(message);
  }
}

/**
 * Does `assertAllPages` and `repairEpolls` on a thread of its own, one checkpoint after the other: how long it takes is up to the
 * sandbox, whose every file, process and socket is in its checkpoint.
 */
export class RepairThread {
  readonly #options: RepairThreadOptions;
  #worker: Worker | undefined;
  #asked: Asked | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: RepairThreadOptions) {
    this.#options = options;
  }

  /**
   * @throws TornFileError if the checkpoint is not whole, StateFileError as `repairEpolls` does, also if it takes too much time or
   * memory
   */
  repair(snapshotDir: string): Promise<number> {
    const turn = this.#tail.then(() => this.#ask({ snapshotDir }));
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  /** Gives up what is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
    await this.#tail;
  }

  async #ask(task: RepairTask): Promise<number> {
    if (this.#closed) throw new StateFileError('no more checkpoints are looked at');
    // It is kept: its first checkpoint takes some four times as long as the next.
    const worker = this.#worker ?? this.#start();
    const { limitMs = LIMIT_MS } = this.#options;
    const late = new StateFileError(`the checkpoint takes longer than ${limitMs} ms to look at`);
    const timer = setTimeout(() => this.#asked?.reject(late), limitMs);
    try {
      return await new Promise<number>((resolve, reject) => {
        this.#asked = { resolve, reject };
        worker.postMessage(task);
      });
    } catch (error) {
      // It may still be at it: the next checkpoint gets another.
      this.#worker = undefined;
      await worker.terminate();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#asked = undefined;
    }
  }

  #start(): Worker {
    const { program, heapMb = HEAP_MB } = this.#options;
    const worker = new Worker(program, { resourceLimits: { maxOldGenerationSizeMb: heapMb }, env: {} });
    this.#worker = worker;
    worker.on('message', (answer: RepairAnswer) => {
      if ('found' in answer) this.#asked?.resolve(answer.found);
      else this.#asked?.reject(errorOf(answer));
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      const isTooLarge = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      const refusal = new StateFileError('the checkpoint takes too much memory to look at', { cause: error });
      this.#asked?.reject(isTooLarge ? refusal : error);
    });
    worker.on('exit', () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#asked?.reject(new StateFileError('the thread that looks at checkpoints has ended'));
    });
    return worker;
  }
}
