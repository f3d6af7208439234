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
    const state = this.#state;
    const [a, b, c, d] = state as unknown as [number, number, number, number];
    const result = (rotate((a + d) >>> 0, 7) + a) >>> 0;
    const [x, y] = [c ^ a, d ^ b];
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

/** OpenSSL's, from which `crypto` draws. Loaded only here: most sandboxes are no copies of one that computes. */
export function reseedOpenssl(): void {
  const koffi = createRequire(import.meta.url)('./koffi.node') as {
    load(path: null): { func(declaration: string): () => number };
  };
  if (koffi.load(null).func('int RAND_poll(void)')() !== 1) throw new Error('OpenSSL has not taken a new seed');
}

function readRandom(bytes: Uint8Array): void {
  const fd = openSync('/dev/urandom', 'r');
  try {
    readSync(fd, bytes);
  } finally {
    closeSync(fd);
  }
}
