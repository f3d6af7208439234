type HeadersInit = Headers | readonly (readonly [string, string])[] | Readonly<Record<string, string>>;

/**
 * What Connect needs of the web's Headers; the bundle puts it in the place of Node's. With the first of those, Node loads all of
 * its HTTP client, which takes 2 MB of each sandbox's memory. Names and values are checked by Node where they leave.
 */
export class Headers {
  readonly #values = new Map<string, string>();

  constructor(init?: HeadersInit) {
    if (init === undefined) return;
    const pairs = init instanceof Headers || Array.isArray(init) ? init : Object.entries(init);
    for (const [name, value] of pairs as Iterable<readonly [string, string]>) this.append(name, value);
  }

  append(name: string, value: string): void {
    const before = this.get(name);
    this.set(name, before === null ? value : `${before}, ${value}`);
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  /** All values of the name, joined as HTTP has it; null if there are none. */
  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  set(name: string, value: string): void {
    this.#values.set(name.toLowerCase(), `${value}`.trim());
  }

  /** Names come in lower case. */
  forEach(use: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this.#values) use(value, name, this);
  }

  entries(): IterableIterator<[string, string]> {
    return this.#values.entries();
  }

  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  values(): IterableIterator<string> {
    return this.#values.values();
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }
}
