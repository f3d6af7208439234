import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { ArchiveError } from './archive-error.ts';
import { inspectArchive } from './inspect.ts';

/** What the thread is asked. */
export interface InspectionTask {
  file: string;
  /** Longest archive, unpacked, bytes. */
  maxBytes: number;
}

/** What it answers; any other error is an `error` of the thread. */
export interface InspectionAnswer {
  /** Why the archive is refused; absent: it is in order. */
  refusal?: string;
}

/** What answers clients goes first. */
const PRIORITY = 10;

// Runs in a thread of its own, one for each archive.
setPriority(Number(basename(readlinkSync('/proc/thread-self'))), PRIORITY);
const { file, maxBytes } = workerData as InspectionTask;
parentPort?.postMessage(inspect());

function inspect(): InspectionAnswer {
  try {
    inspectArchive(file, maxBytes);
    return {};
  } catch (error) {
    if (error instanceof ArchiveError) return { refusal: error.message };
    throw error;
  }
}
