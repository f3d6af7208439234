import { Worker } from 'node:worker_threads';
import { ArchiveError } from './archive-error.ts';
import type { InspectionAnswer, InspectionTask } from './main.ts';

export interface ArchiveInspectorOptions {
  /** The thread's program, bundled. */
  program: string;
  /** Archives that are looked at at once, of different teams. */
  atOnce: number;
  /** Longest look at one archive, ms. */
  limitMs: number;
}

export interface Inspection extends InspectionTask {
  teamId: string;
}

interface Waiting {
  inspection: Inspection;
  done: (outcome: Promise<void>) => void;
}

/** More archives of a team that wait to be looked at are refused. */
const MAX_WAITING = 100;
/** Of JavaScript objects in the thread; reading a sound archive takes a few. */
const HEAP_MB = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 };

/** A team has too many archives waiting to be looked at. */
export class InspectorBusyError extends Error {
  override readonly name = 'InspectorBusyError';
}

/**
 * Looks at archives of strangers, each in a thread with bounds on memory and time, so that nothing in them can make anyone wait but the
 * team that sent them: one archive of a team at a time, and the teams in turn.
 */
export class ArchiveInspector {
  readonly #options: ArchiveInspectorOptions;
  /** By team, the one whose turn is next first. */
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #running = new Set<string>();

  constructor(options: ArchiveInspectorOptions) {
    this.#options = options;
  }

  /**
   * @throws ArchiveError if the archive is refused, or looking at it took too much time or memory; InspectorBusyError where too many
   *   of the team's wait
   */
  async inspect(inspection: Inspection): Promise<void> {
    const { teamId } = inspection;
    const queue = this.#waiting.get(teamId) ?? [];
    if (queue.length >= MAX_WAITING) {
      throw new InspectorBusyError(
        `${MAX_WAITING} archives of the team are waiting: try again when fewer do`,
      );
    }
    return new Promise<void>((resolve) => {
      queue.push({ inspection, done: resolve });
      this.#waiting.set(teamId, queue);
      this.#next();
    });
  }

  #next(): void {
    for (const [teamId, queue] of this.#waiting) {
      if (this.#running.size >= this.#options.atOnce) return;
      if (this.#running.has(teamId)) continue;
      const next = queue.shift();
      // At the end: the other teams come first.
      this.#waiting.delete(teamId);
      if (queue.length > 0) this.#waiting.set(teamId, queue);
      if (next) this.#begin(next);
    }
  }

  #begin({ inspection, done }: Waiting): void {
    const { teamId, file, maxBytes } = inspection;
    this.#running.add(teamId);
    const outcome = this.#run({ file, maxBytes }).finally(() => {
      this.#running.delete(teamId);
      this.#next();
    });
    done(outcome);
  }

  async #run(task: InspectionTask): Promise<void> {
    const { program, limitMs } = this.#options;
    const worker = new Worker(program, { workerData: task, resourceLimits: HEAP_MB, env: {}, stdin: true });
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => {
          reject(
            new ArchiveError(`the archive takes longer than ${Math.round(limitMs / 1000)} s to look at`),
          );
        }, limitMs);
        worker.once('message', ({ refusal }: InspectionAnswer) => {
          if (refusal === undefined) resolve();
          else reject(new ArchiveError(refusal));
        });
        worker.once('error', (error: NodeJS.ErrnoException) => {
          const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
          reject(outOfMemory ? new ArchiveError('the archive takes too much memory to look at') : error);
        });
        worker.once('exit', () =>
          reject(new Error('the thread that looks at an archive ended without an answer')),
        );
      });
    } finally {
      clearTimeout(timer);
      await worker.terminate();
    }
  }
}
