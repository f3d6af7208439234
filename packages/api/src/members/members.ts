import type { Notices } from '@islet/catalog';
import { type Database, listMembers, listRemovedMembers, type Member } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import { Looks } from '../looks.ts';

export interface MembersOptions {
  db: Database;
  /** Of all control planes of the installation. */
  notices: Notices;
  logger: Logger;
  /** From one look at the database to the next, ms. */
  lookMs?: number;
}

/** Removed members are out, and new ones in, within this and the time that the database takes. */
const LOOK_MS = 2_000;

/** Told of all members, within the call that begins it and whenever one comes, goes or changes. */
export type MembersListener = (members: readonly Member[]) => void;

/**
 * Who the members of the cluster are, by the database. While that does not answer, they are those that it told of last: a
 * cluster goes on without its database.
 */
export class Members implements AsyncDisposable {
  readonly #options: MembersOptions;
  readonly #listeners = new Set<MembersListener>();
  readonly #timer: NodeJS.Timeout;
  #all: readonly Member[];
  #removed: readonly string[];
  #ids: ReadonlySet<string>;
  /** What the members are, as a text to compare. */
  #told: string;
  readonly #looks = new Looks(() => this.#look());
  readonly #unwatch: () => void;

  private constructor(options: MembersOptions, all: readonly Member[], removed: readonly string[]) {
    this.#options = options;
    this.#all = all;
    this.#removed = removed;
    this.#ids = idsOf(all);
    this.#told = JSON.stringify(all);
    this.#unwatch = options.notices.watch('members', () => void this.look());
    this.#timer = setInterval(() => void this.look(), options.lookMs ?? LOOK_MS).unref();
  }

  static async open(options: MembersOptions): Promise<Members> {
    return new Members(options, await listMembers(options.db), await listRemovedMembers(options.db));
  }

  get all(): readonly Member[] {
    return this.#all;
  }

  /** Ids of those that were removed while their certificates were good, and are. */
  get removed(): readonly string[] {
    return this.#removed;
  }

  /** Whether somebody is a member. One that was not known yet is looked up: another API may just have let it in. */
  async has(memberId: string): Promise<boolean> {
    if (!this.#ids.has(memberId)) await this.look();
    return this.#ids.has(memberId);
  }

  /** Gives back the way to end it. */
  watch(listener: MembersListener): () => void {
    this.#listeners.add(listener);
    listener(this.#all);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the database. */
  look(): Promise<void> {
    return this.#looks.ask();
  }

  /** The database has other members than before: looks, and has all other control planes look. */
  async changed(): Promise<void> {
    await Promise.all([this.look(), this.#options.notices.tell('members')]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#unwatch();
    this.#listeners.clear();
    await this.#looks.settled();
  }

  async #look(): Promise<void> {
    try {
      const all = await listMembers(this.#options.db);
      this.#removed = await listRemovedMembers(this.#options.db);
      const told = JSON.stringify(all);
      if (told === this.#told) return;
      this.#told = told;
      this.#all = all;
      this.#ids = idsOf(all);
      for (const listener of this.#listeners) listener(all);
    } catch (error) {
      this.#options.logger.warn(
        { err: error },
        'the members of the cluster cannot be read; they stay as known',
      );
    }
  }
}

function idsOf(members: readonly Member[]): ReadonlySet<string> {
  return new Set(members.map(({ id }) => id));
}
