import { readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Tells copies of a sandbox from each other: see docs/clones.md. */
export interface Generation {
  /** Changes with each start from a snapshot. Empty outside of a sandbox. */
  current(): string;
  /** Calls back, a moment later, when it has changed. Returns how to stop. */
  onChange(listener: () => void): () => void;
}

/** By the file that envd writes before any client reaches the sandbox. */
export function generationOfFile(path: string): Generation {
  // It is in memory, and 32 bytes long: to ask for it takes less than to tell whether it has changed.
  const current = () => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  return {
    current,
    onChange(listener) {
      let last = current();
      const look = () => {
        const now = current();
        if (now === last) return;
        last = now;
        listener();
      };
      try {
        // The directory: the file is replaced.
        const watcher = watch(dirname(path), look);
        watcher.on('error', () => watcher.close());
        return () => watcher.close();
      } catch {
        // There is none outside of a sandbox.
        return () => undefined;
      }
    },
  };
}
