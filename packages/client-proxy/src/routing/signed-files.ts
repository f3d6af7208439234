import { timingSafeEqual } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CatalogEntry, CatalogReader } from '@islet/catalog';
import { type FileOperation, IsletError, signFile } from '@islet/contracts';

/** The query of a signed file URL. */
interface SignedQuery {
  path: string;
  username: string;
  signature: string;
  expiration: number | undefined;
}

/** Sandboxes tried before other work gets its turn; one costs some microseconds. */
const BATCH = 64;
/** Searches that may wait for their turn; the rest is told to come again. */
const MAX_WAITING = 256;
/** Signed URLs remembered. */
const MAX_KNOWN = 4096;

const OPERATIONS: Record<string, readonly FileOperation[]> = {
  GET: ['read'],
  HEAD: ['read'],
  POST: ['write'],
  // A browser's preflight does not say which of the two follows.
  OPTIONS: ['read', 'write'],
};

function parseQuery(target: string): SignedQuery | undefined {
  const at = target.indexOf('?');
  if (at === -1 || target.slice(0, at) !== '/files') return undefined;
  const query = new URLSearchParams(target.slice(at + 1));
  const signature = query.get('signature');
  if (!signature) return undefined;
  const expiration = query.get('signature_expiration');
  return {
    path: query.get('path') ?? '',
    username: query.get('username') ?? '',
    signature,
    expiration: expiration === null || expiration === '' ? undefined : Number(expiration),
  };
}

function matches(query: SignedQuery, operation: FileOperation, envdAccessToken: string): boolean {
  const { path, username, expiration } = query;
  const fields = { path, username, operation, envdAccessToken };
  const expected = Buffer.from(signFile(expiration === undefined ? fields : { ...fields, expiration }));
  const given = Buffer.from(query.signature);
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/**
 * Finds the sandbox that a signed file URL is for where nothing else names it. A signature is a hash over the
 * sandbox's secret token, so no more than one running sandbox can have made it.
 */
export class SignedFileRouter {
  readonly #catalog: CatalogReader;
  /** Which sandbox a URL turned out to be for: a hint where to look first, checked each time. */
  readonly #known = new Map<string, string>();
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(catalog: CatalogReader) {
    this.#catalog = catalog;
  }

  /** True where a request has the form of a signed file URL. */
  claims(method: string, target: string): boolean {
    return target.startsWith('/files?') && method in OPERATIONS && parseQuery(target) !== undefined;
  }

  /**
   * The sandbox whose token signed the URL. Whether the signature still holds is for its envd to say.
   * @throws IsletError 401 where no running sandbox did; 429 where too many searches wait.
   */
  async find(method: string, target: string): Promise<CatalogEntry> {
    const query = parseQuery(target);
    const operations = OPERATIONS[method];
    if (query && operations) {
      const known = await this.#lookUpKnown(query, operations);
      const entry = known ?? (await this.#inTurn(() => this.#search(query, operations)));
      if (entry) return entry;
    }
    throw new IsletError(401, 'invalid signature');
  }

  async #lookUpKnown(query: SignedQuery, operations: readonly FileOperation[]) {
    const sandboxId = this.#known.get(query.signature);
    if (sandboxId === undefined) return undefined;
    const entry = await this.#catalog.get(sandboxId);
    if (entry && signedBy(entry, query, operations)) return entry;
    return undefined;
  }

  async #search(query: SignedQuery, operations: readonly FileOperation[]): Promise<CatalogEntry | undefined> {
    const entries = await this.#catalog.listAll();
    for (let i = 0; i < entries.length; i++) {
      if (i > 0 && i % BATCH === 0) await nextTurn();
      const entry = entries[i];
      if (!entry || !signedBy(entry, query, operations)) continue;
      this.#remember(query.signature, entry.sandbox.config?.sandboxId ?? '');
      return entry;
    }
    return undefined;
  }

  /** One search at a time, so that a flood of bad signatures takes no more than its share of the processor. */
  async #inTurn<T>(search: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) {
      throw new IsletError(429, 'Too many file requests that name no sandbox. Try again in a moment.');
    }
    this.#waiting++;
    const turn = this.#tail.then(search, search);
    this.#tail = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting--;
    }
  }

  #remember(signature: string, sandboxId: string): void {
    this.#known.set(signature, sandboxId);
    if (this.#known.size <= MAX_KNOWN) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

function signedBy(entry: CatalogEntry, query: SignedQuery, operations: readonly FileOperation[]): boolean {
  const token = entry.sandbox.config?.envdAccessToken;
  if (!token) return false;
  return operations.some((operation) => matches(query, operation, token));
}
