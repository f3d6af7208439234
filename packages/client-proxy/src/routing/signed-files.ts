import { createHash } from 'node:crypto';
import type { FindSigner, Route, RouteView, SignedFile } from '@islet/catalog';
import { type FileOperation, invalidSignature, tooManySearches } from '@islet/contracts';

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

function parseSignedFile(method: string, target: string): SignedFile | undefined {
  const operations = OPERATIONS[method];
  const at = target.indexOf('?');
  if (!operations || at === -1 || target.slice(0, at) !== '/files') return undefined;
  const query = new URLSearchParams(target.slice(at + 1));
  const signature = query.get('signature');
  if (!signature) return undefined;
  const expiration = query.get('signature_expiration');
  return {
    path: query.get('path') ?? '',
    username: query.get('username') ?? '',
    signature,
    expiration: expiration === null || expiration === '' ? undefined : Number(expiration),
    operations,
  };
}

/** As long for every URL. */
function keyOf(file: SignedFile): string {
  return createHash('sha256').update(JSON.stringify(file)).digest('base64url');
}

/**
 * Finds the sandbox that a signed file URL is for if nothing else names it. A signature is a hash over the sandbox's secret
 * token, so no more than one sandbox can have made it; who knows the tokens is asked, once for each URL.
 */
export class SignedFileRouter {
  readonly #routes: Pick<RouteView, 'find'>;
  readonly #findSigner: FindSigner;
  /** Which sandbox a URL turned out to be for. */
  readonly #known = new Map<string, string>();
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(routes: Pick<RouteView, 'find'>, findSigner: FindSigner) {
    this.#routes = routes;
    this.#findSigner = findSigner;
  }

  /** True if a request has the form of a signed file URL. */
  claims(method: string, target: string): boolean {
    return target.startsWith('/files?') && parseSignedFile(method, target) !== undefined;
  }

  /**
   * The sandbox whose token signed the URL. Whether the signature still holds is for its envd to say.
   * @throws IsletError 401 if no sandbox did; 429 if too many searches wait.
   */
  async find(method: string, target: string): Promise<Route> {
    const file = parseSignedFile(method, target);
    const route = file && (await this.#find(file));
    if (!route) throw invalidSignature();
    return route;
  }

  async #find(file: SignedFile): Promise<Route | undefined> {
    const key = keyOf(file);
    const known = this.#known.get(key);
    const route = known === undefined ? undefined : this.#routes.find(known);
    if (route) return route;
    const sandboxId = await this.#inTurn(() => this.#findSigner(file));
    if (sandboxId === undefined) return undefined;
    this.#remember(key, sandboxId);
    return this.#routes.find(sandboxId);
  }

  /** One search at a time, so that a flood of bad signatures takes no more than its share of who is asked. */
  async #inTurn<T>(search: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) {
      throw tooManySearches();
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

  #remember(key: string, sandboxId: string): void {
    this.#known.delete(key);
    this.#known.set(key, sandboxId);
    if (this.#known.size <= MAX_KNOWN) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
