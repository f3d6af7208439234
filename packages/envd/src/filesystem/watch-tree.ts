import { type Dirent, readdirSync } from 'node:fs';
import { posix } from 'node:path';
import { SystemError } from '@islet/posix-spawn';
import { IN, type Inotify, type InotifyEvent, openInotify } from '../native/inotify.ts';

export type ChangeType = 'create' | 'rename' | 'chmod' | 'write' | 'remove';

export interface Change {
  /** Relative to the watched directory, `.` for that itself. */
  name: string;
  type: ChangeType;
  /** Absolute. */
  path: string;
}

const MASK =
  IN.modify |
  IN.attrib |
  IN.movedFrom |
  IN.movedTo |
  IN.create |
  IN.delete |
  IN.deleteSelf |
  IN.moveSelf |
  IN.onlyDirectories;

/** What the bits of one kernel event mean, in the order in which they are told. */
export function changeTypes(mask: number): ChangeType[] {
  const types: ChangeType[] = [];
  if (mask & (IN.create | IN.movedTo)) types.push('create');
  if (mask & (IN.movedFrom | IN.moveSelf)) types.push('rename');
  if (mask & IN.attrib) types.push('chmod');
  if (mask & IN.modify) types.push('write');
  if (mask & (IN.delete | IN.deleteSelf)) types.push('remove');
  return types;
}

/** Watches a directory, and with `recursive` all below it, those that come later included. */
export class WatchTree {
  readonly #root: string;
  readonly #recursive: boolean;
  readonly #onChange: (change: Change) => void;
  readonly #inotify: Inotify;
  readonly #pathOf = new Map<number, string>();
  readonly #wdOf = new Map<string, number>();
  /** Paths told as created because they were found in a new directory; the kernel may tell them once more. */
  readonly #found = new Set<string>();

  /** @throws SystemError */
  constructor(root: string, recursive: boolean, onChange: (change: Change) => void) {
    this.#root = root;
    this.#recursive = recursive;
    this.#onChange = onChange;
    this.#inotify = openInotify((events) => {
      for (const event of events) this.#onEvent(event);
    });
    try {
      this.#add(root);
      if (recursive) this.#addBelow(root, 'silent');
    } catch (error) {
      this.#inotify.close();
      throw error;
    }
  }

  close(): void {
    this.#inotify.close();
  }

  #add(path: string): void {
    const wd = this.#inotify.add(path, MASK);
    this.#pathOf.set(wd, path);
    this.#wdOf.set(path, wd);
  }

  /** Watches the directories below one; `report` tells what is already in it as created. */
  #addBelow(directory: string, mode: 'silent' | 'report'): void {
    for (const entry of entriesOf(directory)) {
      const path = posix.join(directory, entry.name);
      if (mode === 'report' && !this.#found.has(path)) {
        this.#found.add(path);
        this.#tell(path, 'create');
      }
      if (entry.isDirectory()) this.#addDirectory(path, mode);
    }
  }

  #addDirectory(path: string, mode: 'silent' | 'report'): void {
    try {
      this.#add(path);
    } catch (error) {
      // Gone again, or no directory any more: its removal is told by its parent.
      if (error instanceof SystemError && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return;
      throw error;
    }
    this.#addBelow(path, mode);
  }

  #onEvent(event: InotifyEvent): void {
    if (event.mask & IN.queueOverflow) {
      // Events are lost; directories that came meanwhile can still be found.
      if (this.#recursive) this.#addBelow(this.#root, 'silent');
      return;
    }
    const directory = this.#pathOf.get(event.wd);
    if (directory === undefined) return;
    if (event.mask & IN.ignored) {
      this.#forget(directory, event.wd);
      return;
    }
    if (event.name === '') {
      // Of directories below the root, the parent tells the same.
      if (directory === this.#root) for (const type of changeTypes(event.mask)) this.#tell(directory, type);
      return;
    }
    this.#onEntryEvent(event, posix.join(directory, event.name));
  }

  #onEntryEvent(event: InotifyEvent, path: string): void {
    const isDirectory = (event.mask & IN.isDirectory) !== 0;
    const alreadyTold = (event.mask & IN.create) !== 0 && this.#found.delete(path);
    if (event.mask & (IN.delete | IN.movedFrom)) this.#found.delete(path);
    if (this.#recursive && isDirectory && event.mask & IN.movedFrom) this.#dropBelow(path);
    if (!alreadyTold) for (const type of changeTypes(event.mask)) this.#tell(path, type);
    if (this.#recursive && isDirectory && event.mask & (IN.create | IN.movedTo)) {
      this.#addDirectory(path, event.mask & IN.create ? 'report' : 'silent');
    }
  }

  /** A directory that was moved keeps its watches, which would tell its old path. */
  #dropBelow(path: string): void {
    for (const [watched, wd] of this.#wdOf) {
      if (watched !== path && !watched.startsWith(`${path}/`)) continue;
      this.#forget(watched, wd);
      this.#inotify.remove(wd);
    }
  }

  #forget(path: string, wd: number): void {
    this.#pathOf.delete(wd);
    if (this.#wdOf.get(path) === wd) this.#wdOf.delete(path);
  }

  #tell(path: string, type: ChangeType): void {
    this.#onChange({ name: posix.relative(this.#root, path) || '.', type, path });
  }
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}
