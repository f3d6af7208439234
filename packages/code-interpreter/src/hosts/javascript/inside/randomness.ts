import { closeSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';

/**
 * Copies of a sandbox go on with the same memory, and so with the same generators. That of V8 cannot be seeded again, so
 * `Math.random` is one that can: xoshiro128++ (Blackman and Vigna, 2019), seeded by the kernel. Code that wants a sequence of
 * its own has to bring a generator (there is no seed to set in JavaScript), and that one is left alone.
 */
export class Randomness {
  readonly #state = new Uint32Array(4);

  constructor() {
    this.reseed();
    Math.random = () => this.#next();
  }

  reseed(): void {
    readRandom(new Uint8Array(this.#state.buffer));
    // The one state that xoshiro never leaves.
    this.#state[0] = (this.#state[0] as number) | 1;
  }

  /** 53 bits, as Node's own. */
  #next(): number {
    return ((this.#draw() >>> 5) * 0x4000000 + (this.#draw() >>> 6)) / 0x20000000000000;
  }

  #draw(): number {
    // Of four, whatever the compiler thinks; destructuring takes ten times longer.
    const state = this.#state as unknown as { 0: number; 1: number; 2: number; 3: number };
    const a = state[0];
    const b = state[1];
    const c = state[2];
    const d = state[3];
    const result = (rotate((a + d) >>> 0, 7) + a) >>> 0;
    const x = c ^ a;
    const y = d ^ b;
    state[1] = b ^ x;
    state[0] = a ^ y;
    state[2] = x ^ (b << 9);
    state[3] = rotate(y >>> 0, 11);
    return result;
  }
}

function rotate(value: number, by: number): number {
  return ((value << by) | (value >>> (32 - by))) >>> 0;
}

/** How to seed OpenSSL's generator anew, from which `crypto` draws; undefined where Node keeps its own to itself. */
export function openReseedOfOpenssl(): (() => number) | undefined {
  const koffi = createRequire(import.meta.url)('./koffi.node') as {
    load(path: null): { func(declaration: string): () => number };
  };
  try {
    return koffi.load(null).func('int RAND_poll(void)');
  } catch {
    return undefined;
  }
}

function readRandom(bytes: Uint8Array): void {
  const fd = openSync('/dev/urandom', 'r');
  try {
    readSync(fd, bytes);
  } finally {
    closeSync(fd);
  }
}
