import type { LockFile } from '../src/layers/layer-store.ts';

/** The port for locks within one process: who comes later waits for its turn, or gives up when its signal aborts. */
export function queueLock(): LockFile {
  const held = new Map<string, Promise<void>>();
  return async (path, { signal, onWait }) => {
    for (let waited = false; ; waited = true) {
      const before = held.get(path);
      if (!before) break;
      if (!waited) onWait();
      signal.throwIfAborted();
      await Promise.race([
        before,
        new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })),
      ]);
      signal.throwIfAborted();
    }
    let release = () => {};
    held.set(
      path,
      new Promise((resolve) => {
        release = resolve;
      }),
    );
    return {
      async [Symbol.asyncDispose]() {
        held.delete(path);
        release();
      },
    };
  };
}
