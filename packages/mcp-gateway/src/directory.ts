import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type {
  Prompt,
  Resource,
  ResourceTemplate,
  ServerCapabilities,
  Tool,
} from '@modelcontextprotocol/sdk/types.js';
import type { Upstream } from './upstream.ts';

/** Pages of a list that are read of one server: an endless one must not hold everybody. */
const MOST_PAGES = 100;

/** Something of a server, under the name that the gateway's clients see. */
export interface Offered<T> {
  upstream: Upstream;
  /** What the server itself calls it. */
  own: string;
  shown: T;
}

/** What all servers together offer. It is asked of them once, and again when one says that it has changed or has ended. */
export class Directory {
  readonly #upstreams: readonly Upstream[];
  readonly #known = new Map<string, Promise<unknown>>();

  constructor(upstreams: readonly Upstream[]) {
    this.#upstreams = upstreams;
  }

  forget(): void {
    this.#known.clear();
  }

  /** What at least one server can do. */
  async capabilities(): Promise<ServerCapabilities> {
    const each = await Promise.all(this.#upstreams.map((upstream) => capabilitiesOf(upstream)));
    const some = (what: keyof ServerCapabilities) => each.some((capabilities) => capabilities[what]);
    return {
      logging: {},
      ...(some('tools') && { tools: { listChanged: true } }),
      ...(some('prompts') && { prompts: { listChanged: true } }),
      ...(some('resources') && { resources: { listChanged: true } }),
      ...(some('completions') && { completions: {} }),
    };
  }

  /** How to use the servers, as they say themselves. */
  async instructions(): Promise<string> {
    const each = await Promise.all(
      this.#upstreams.map(async (upstream) => {
        const text = (await upstream.client()).getInstructions();
        return text ? [`# ${upstream.name}\n\n${text}`] : [];
      }),
    );
    return each.flat().join('\n\n');
  }

  tools(): Promise<Offered<Tool>[]> {
    return this.#once('tools', () =>
      this.#named('tools', async (client, cursor) => {
        const { tools, nextCursor } = await client.listTools({ cursor });
        return { items: tools, nextCursor };
      }),
    );
  }

  prompts(): Promise<Offered<Prompt>[]> {
    return this.#once('prompts', () =>
      this.#named('prompts', async (client, cursor) => {
        const { prompts, nextCursor } = await client.listPrompts({ cursor });
        return { items: prompts, nextCursor };
      }),
    );
  }

  resources(): Promise<Offered<Resource>[]> {
    return this.#once('resources', () =>
      this.#all(
        'resources',
        async (client, cursor) => {
          const { resources, nextCursor } = await client.listResources({ cursor });
          return { items: resources, nextCursor };
        },
        ({ uri }) => uri,
      ),
    );
  }

  resourceTemplates(): Promise<Offered<ResourceTemplate>[]> {
    return this.#once('templates', () =>
      this.#all(
        'resources',
        async (client, cursor) => {
          const { resourceTemplates, nextCursor } = await client.listResourceTemplates({ cursor });
          return { items: resourceTemplates, nextCursor };
        },
        ({ uriTemplate }) => uriTemplate,
      ),
    );
  }

  /** The servers that may have a resource: those that list it, else all that have any. */
  async ownersOf(uri: string): Promise<Upstream[]> {
    const listed = (await this.resources()).filter(({ own }) => own === uri);
    if (listed.length > 0) return listed.map(({ upstream }) => upstream);
    return this.#able('resources');
  }

  #once<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#known.get(what) as Promise<T> | undefined;
    if (known) return known;
    const asked = ask();
    this.#known.set(what, asked);
    // A failure is asked anew.
    asked.catch(() => {
      if (this.#known.get(what) === asked) this.#known.delete(what);
    });
    return asked;
  }

  async #named<T extends { name: string }>(what: Listed, page: Page<T>): Promise<Offered<T>[]> {
    const found = await this.#all(what, page, ({ name }) => name);
    return withoutClashes(found);
  }

  async #all<T>(what: Listed, page: Page<T>, nameOf: (item: T) => string): Promise<Offered<T>[]> {
    const able = await this.#able(what);
    const each = await Promise.all(
      able.map(async (upstream) => {
        const items = await allPages(await upstream.client(), page);
        return items.map((shown) => ({ upstream, own: nameOf(shown), shown }));
      }),
    );
    return each.flat();
  }

  async #able(what: Listed): Promise<Upstream[]> {
    const each = await Promise.all(
      this.#upstreams.map(async (upstream) => ((await capabilitiesOf(upstream))[what] ? [upstream] : [])),
    );
    return each.flat();
  }
}

type Listed = 'tools' | 'prompts' | 'resources';
type Page<T> = (client: Client, cursor?: string) => Promise<{ items: T[]; nextCursor?: string | undefined }>;

/** A name that two servers have is shown with the server's before it, in both. */
export function withoutClashes<T extends { name: string }>(offered: Offered<T>[]): Offered<T>[] {
  const owners = new Map<string, Set<string>>();
  for (const { own, upstream } of offered) owners.set(own, (owners.get(own) ?? new Set()).add(upstream.name));
  return offered.map((one) =>
    (owners.get(one.own)?.size ?? 0) < 2
      ? one
      : { ...one, shown: { ...one.shown, name: `${plain(one.upstream.name)}_${one.own}` } },
  );
}

/** Models take letters, digits, `_` and `-` in names. */
const plain = (name: string) => name.replace(/[^A-Za-z0-9_-]+/g, '_');

async function capabilitiesOf(upstream: Upstream): Promise<ServerCapabilities> {
  return (await upstream.client()).getServerCapabilities() ?? {};
}

async function allPages<T>(client: Client, page: Page<T>): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const read = await page(client, cursor);
    items.push(...read.items);
    cursor = read.nextCursor;
    if (cursor === undefined) break;
  }
  return items;
}
