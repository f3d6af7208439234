import { closeSync, openSync, readSync } from 'node:fs';
import type { Languages } from '../hosts/languages.ts';
import { Context, type ContextDeps } from './context.ts';
import { ContextNotFoundError, LanguageNotFoundError, TooManyError } from './errors.ts';
import { MemoryWatch, type MemoryWatchOptions } from './memory-watch.ts';

/** A host of Python takes 50 MB. */
const MOST_CONTEXTS = 128;

export interface ContextsDeps extends Omit<ContextDeps, 'watched'> {
  languages: Languages;
  memory: Omit<MemoryWatchOptions, 'consumers'>;
  /** Where contexts work that name no directory. */
  home: string;
}

/** All contexts of the sandbox, in the order in which they were made. */
export class Contexts {
  readonly #deps: ContextsDeps & ContextDeps;
  readonly #all = new Map<string, Context>();
  /** By language: made once, also if several ask for it at the same time. */
  readonly #defaults = new Map<string, Promise<Context>>();
  readonly #stopWatching: () => void;

  constructor(deps: ContextsDeps) {
    const watch = new MemoryWatch({ ...deps.memory, consumers: () => this.list() });
    this.#deps = { ...deps, watched: (cell) => watch.during(cell) };
    this.#stopWatching = deps.generation.onChange(() => {
      for (const context of this.#all.values()) void context.reseed();
    });
  }

  list(): Context[] {
    return [...this.#all.values()];
  }

  /** @throws ContextNotFoundError */
  get(id: string): Context {
    const context = this.#all.get(id);
    if (!context) throw new ContextNotFoundError(id);
    return context;
  }

  /**
   * Makes a context whose process runs.
   * @throws {LanguageNotFoundError | HostStartError | TooManyError}
   */
  async create(asked: string, cwd = this.#deps.home): Promise<Context> {
    if (this.#all.size >= MOST_CONTEXTS) {
      throw new TooManyError(`There are ${MOST_CONTEXTS} contexts already: remove one that is not needed`);
    }
    const language = await this.#deps.languages.find(asked);
    if (!language) throw new LanguageNotFoundError(asked);
    const id = newId();
    const context = new Context(id, language, cwd, this.#deps);
    this.#all.set(id, context);
    try {
      await context.start();
    } catch (error) {
      this.#all.delete(id);
      throw error;
    }
    return context;
  }

  /**
   * The context of a language that all share who name none.
   * @throws {LanguageNotFoundError | HostStartError | TooManyError}
   */
  async default(asked: string): Promise<Context> {
    const language = await this.#deps.languages.find(asked);
    if (!language) throw new LanguageNotFoundError(asked);
    const known = this.#defaults.get(language.name);
    if (known) return await known;
    const made = this.create(language.name);
    this.#defaults.set(language.name, made);
    made.catch(() => this.#defaults.delete(language.name));
    return await made;
  }

  /** @throws ContextNotFoundError */
  async remove(id: string): Promise<void> {
    const context = this.get(id);
    this.#all.delete(id);
    for (const [language, made] of this.#defaults) {
      if ((await made.catch(() => undefined)) === context) this.#defaults.delete(language);
    }
    await context.remove();
  }

  async close(): Promise<void> {
    this.#stopWatching();
    await Promise.all(this.list().map((context) => this.remove(context.id)));
  }
}

/** A UUID of bytes of the kernel's: copies of a sandbox share what Node draws in advance. */
function newId(): string {
  const bytes = Buffer.alloc(16);
  const file = openSync('/dev/urandom', 'r');
  try {
    readSync(file, bytes);
  } finally {
    closeSync(file);
  }
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
