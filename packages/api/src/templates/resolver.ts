import type { Notices } from '@islet/catalog';
import {
  IsletError,
  tagNotFound,
  templateBeingBuilt,
  templateNotBuilt,
  templateNotFound,
} from '@islet/contracts';
import {
  type BuildRow,
  type Database,
  DEFAULT_TAG,
  findTaggedBuild,
  findTemplate,
  listAliases,
  type Team,
} from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { Clock, FurtherBuilds } from '../deps.ts';
import { parseTemplateReference, type TemplateReference } from './reference.ts';

/** What a sandbox is started from. */
export interface ResolvedTemplate {
  templateId: string;
  /** The template's first alias, '' where it has none. */
  alias: string;
  build: BuildRow;
}

export interface TemplateResolverOptions {
  db: Database;
  notices: Notices;
  clock: Clock;
  logger: Logger;
  /** The templates that can be built when they are first used; absent: there are none. */
  further?: FurtherBuilds | undefined;
}

interface Entry {
  value: ResolvedTemplate;
  loadedAt: number;
}

/**
 * Entries older than `fresh` are served and read again behind the request, those older than `stale` before it, ms. A
 * database of one process changes through this one, which clears them all; in one that control planes share, what
 * another one has built, deleted or published is told, and right here within 5 s if that is not heard.
 */
const AGES_MS: Record<Database['kind'], { fresh: number; stale: number }> = {
  pglite: { fresh: 4_000, stale: 60_000 },
  postgresql: { fresh: 2_000, stale: 4_500 },
};
const MAX_ENTRIES = 10_000;

/** Finds templates by reference, from memory if the same team asked before. */
export class TemplateResolver {
  readonly #options: TemplateResolverOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #refreshes = new Map<string, Promise<void>>();
  /** Counts the clearings: what was read before one must not be kept after it. */
  #generation = 0;
  #unwatch: () => void = () => undefined;

  constructor(options: TemplateResolverOptions) {
    this.#options = options;
  }

  /**
   * The template and ready build that a reference means to a team.
   * @throws IsletError 400 if it is no reference, 404 if it means nothing, or nothing the team may use
   */
  async resolve(team: Team, text: string): Promise<ResolvedTemplate> {
    const key = `${team.id}\n${text}`;
    const entry = this.#entries.get(key);
    const age = entry ? this.#options.clock.monotonic() - entry.loadedAt : Number.POSITIVE_INFINITY;
    const { fresh, stale } = AGES_MS[this.#options.db.kind];
    if (entry && age < stale) {
      if (age > fresh) this.#refresh(key, team, text);
      return entry.value;
    }
    return this.#load(key, team, text);
  }

  /** Which template a reference without a tag means, whatever its builds; undefined if it means nothing. */
  async findId(team: Team, reference: TemplateReference): Promise<string | undefined> {
    return (await findTemplate(this.#options.db, reference, team.slug))?.id;
  }

  /** Hears from now on what other control planes write. */
  start(): void {
    this.#unwatch = this.#options.notices.watch('templates', () => this.clear());
  }

  /** Has every control plane forget everything, after a template was written: what a client then starts is what it was told of. */
  async changed(): Promise<void> {
    this.clear();
    await this.#options.notices.tell('templates');
  }

  /** Forgets what one template's references mean. */
  forget(templateId: string): void {
    this.#generation++;
    for (const [key, { value }] of this.#entries) {
      if (value.templateId === templateId) this.#entries.delete(key);
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#generation++;
    this.#entries.clear();
  }

  async close(): Promise<void> {
    this.#unwatch();
    await Promise.all(this.#refreshes.values());
  }

  async #load(key: string, team: Team, text: string): Promise<ResolvedTemplate> {
    const generation = this.#generation;
    const loadedAt = this.#options.clock.monotonic();
    const value = await this.#find(team, text);
    if (generation === this.#generation) {
      if (this.#entries.size >= MAX_ENTRIES) this.#entries.clear();
      this.#entries.set(key, { value, loadedAt });
    }
    return value;
  }

  #refresh(key: string, team: Team, text: string): void {
    if (this.#refreshes.has(key)) return;
    const refresh = this.#load(key, team, text)
      .then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof IsletError) this.#entries.delete(key);
          else this.#options.logger.warn({ err: error }, 'cannot look a template up again');
        },
      )
      .finally(() => this.#refreshes.delete(key));
    this.#refreshes.set(key, refresh);
  }

  async #find(team: Team, text: string): Promise<ResolvedTemplate> {
    const { db } = this.#options;
    const reference = parseTemplateReference(text);
    const template = await findTemplate(db, reference, team.slug);
    // Whether a private template of another team exists is nobody's business.
    if (!template || (template.teamId !== team.id && !template.public)) {
      throw (await this.#unbuilt(reference)) ?? templateNotFound(text);
    }
    const tag = reference.tag ?? DEFAULT_TAG;
    const [build, aliases] = await Promise.all([
      findTaggedBuild(db, template.id, tag),
      listAliases(db, template.id),
    ]);
    if (!build) throw tagNotFound(tag, text);
    return { templateId: template.id, alias: aliases[0]?.alias ?? '', build };
  }

  /** Why a template that can be built here is not there yet; undefined if it is none of these. */
  async #unbuilt({ namespace, name, tag }: TemplateReference): Promise<IsletError | undefined> {
    if (namespace !== undefined || tag !== undefined) return undefined;
    const state = await this.#options.further?.use(name);
    if (!state) return undefined;
    return state.failure === undefined
      ? templateBeingBuilt(name, state.progress)
      : templateNotBuilt(name, state.failure);
  }
}
