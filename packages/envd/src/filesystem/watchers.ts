import type { filesystemProto } from '@islet/contracts';
import type { WatchTree } from './watch-tree.ts';

/** Watchers that clients poll; each costs an inotify instance. */
export const MAX_WATCHERS = 512;
/** Events kept for a client that does not fetch them; the oldest go first. */
export const MAX_BUFFERED_EVENTS = 65_536;

type Event = filesystemProto.FilesystemEvent;

interface Watcher {
  tree: WatchTree;
  events: Event[];
}

/** Watchers by id, for clients that poll instead of holding a stream. They outlive their client's connection. */
export class PolledWatchers {
  readonly #watchers = new Map<string, Watcher>();
  readonly #randomBytes: (length: number) => Buffer;

  constructor(randomBytes: (length: number) => Buffer) {
    this.#randomBytes = randomBytes;
  }

  get full(): boolean {
    return this.#watchers.size >= MAX_WATCHERS;
  }

  /** Starts collecting; `open` gets the function to hand events to. @returns the watcher's id. */
  create(open: (onEvent: (event: Event) => void) => WatchTree): string {
    const events: Event[] = [];
    const tree = open((event) => {
      if (events.length >= MAX_BUFFERED_EVENTS) events.shift();
      events.push(event);
    });
    const id = `w${this.#randomBytes(10).toString('hex')}`;
    this.#watchers.set(id, { tree, events });
    return id;
  }

  /** Takes the events that came since the last call. Undefined if there is no such watcher. */
  drain(id: string): Event[] | undefined {
    return this.#watchers.get(id)?.events.splice(0);
  }

  /** @returns false if there is no such watcher. */
  remove(id: string): boolean {
    this.#watchers.get(id)?.tree.close();
    return this.#watchers.delete(id);
  }

  close(): void {
    for (const id of [...this.#watchers.keys()]) this.remove(id);
  }
}
