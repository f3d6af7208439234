import { pauseFor } from '@islet/contracts';
import type { WatchableRoutes } from './routes.ts';
import type { RouteSink } from './table.ts';

/** Between the end of a watch and the next, ms; each failure in a row doubles it. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/**
 * Keeps a sink equal to the routes until it is disposed of: takes the watch up again whenever it breaks off. The first
 * watch begins within this call.
 * @param onLost told of each one that breaks off, or cannot begin
 */
export function followRoutes(
  routes: WatchableRoutes,
  sink: RouteSink,
  onLost: (error: unknown) => void,
): Disposable {
  const stop = new AbortController();
  const { signal } = stop;
  let pause = FIRST_PAUSE_MS;
  const follow = async () => {
    while (!signal.aborted) {
      try {
        await watchOnce(routes, sink, signal, () => {
          pause = FIRST_PAUSE_MS;
        });
      } catch (error) {
        if (signal.aborted) return;
        onLost(error);
        await pauseFor(pause, signal);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  };
  void follow();
  return { [Symbol.dispose]: () => stop.abort() };
}

/** Returns once the signal has aborted. @throws what broke the watch off */
async function watchOnce(
  routes: WatchableRoutes,
  sink: RouteSink,
  signal: AbortSignal,
  onComplete: () => void,
): Promise<void> {
  let lost: (error: unknown) => void = () => undefined;
  const broken = new Promise<never>((_, reject) => {
    lost = reject;
  });
  let stop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  signal.addEventListener('abort', stop, { once: true });
  let isOver = false;
  sink.begin();
  const watching = routes.watch({
    changed: (change) => {
      if (!isOver) sink.changed(change);
    },
    reached: (mark) => {
      if (!isOver) sink.reached?.(mark);
    },
    lost,
  });
  try {
    await Promise.race([watching, broken, stopped]);
    if (!signal.aborted) {
      sink.complete();
      onComplete();
    }
    await Promise.race([broken, stopped]);
  } finally {
    isOver = true;
    signal.removeEventListener('abort', stop);
    // Also one that had not begun yet.
    watching.then((end) => end()).catch(() => undefined);
  }
}
