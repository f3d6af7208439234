/** An object of a store, as its list has it. */
export interface ListedObject {
  key: string;
  bytes: number;
  /** By the store's clock, Unix ms. */
  modifiedAtMs: number;
}

/**
 * Keeps objects for all machines of an installation, under keys that `isObjectKey` takes. An object is there as a whole or not at all.
 * Every method throws StoreUnavailableError if the store cannot be reached, refuses the caller or is full.
 */
export interface ObjectStore {
  /** Where it is, for people; without secrets. */
  readonly name: string;
  /** Replaces what is there under the key. When it returns, every machine reads the new content. */
  put(key: string, content: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** Undefined if there is none. @throws RangeError if it is larger than `mostBytes` */
  get(key: string, mostBytes: number, signal?: AbortSignal): Promise<Buffer | undefined>;
  /** Undefined if there is none. */
  look(key: string, signal?: AbortSignal): Promise<ListedObject | undefined>;
  /** All whose keys begin with the prefix, which ends with a slash; in no order. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<ListedObject>;
  /** Unknown ones are no error. */
  delete(keys: readonly string[], signal?: AbortSignal): Promise<void>;
}

/** What can only be read: a store, or a node that has some of what a store would have. */
export type ObjectSource = Pick<ObjectStore, 'name' | 'get'>;

/** A store does not do now what it is asked for; it may, later. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

const KEY = /^[a-z0-9][A-Za-z0-9._-]{0,127}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,5}$/;

/** Words of letters, digits and `._-`, joined by slashes: a path in every kind of store, out of which nothing leads. */
export function isObjectKey(key: string): boolean {
  return KEY.test(key);
}

/** @throws TypeError if it is none */
export function assertObjectKey(key: string): void {
  if (!isObjectKey(key)) throw new TypeError(`${JSON.stringify(key)} is no key of an object`);
}
