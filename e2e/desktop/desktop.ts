import { Sandbox } from '@e2b/desktop';
import { afterAll, beforeAll, inject } from 'vitest';

const access = inject('islet');

/** The machine may be busy with others. */
const REQUEST_MS = 180_000;

export const options = {
  apiUrl: access.apiUrl,
  apiKey: access.apiKey,
  sandboxUrl: access.sandboxUrl,
  requestTimeoutMs: REQUEST_MS,
  timeoutMs: 3_600_000,
};

type DesktopOptions = NonNullable<Parameters<typeof Sandbox.create>[1]>;

/** A desktop that ends with the block. */
export async function newDesktop(more: DesktopOptions = {}): Promise<Sandbox & AsyncDisposable> {
  // Of a display, the SDK takes notice only if the template is named before.
  const desktop = await Sandbox.create('desktop', { ...options, ...more });
  return Object.assign(desktop, {
    async [Symbol.asyncDispose]() {
      await desktop.kill();
    },
  });
}

/** One desktop for all tests of a file. The object is filled in before the first test. */
export function sharedDesktop(): { current: Sandbox } {
  const shared = {} as { current: Sandbox };
  beforeAll(async () => {
    shared.current = await Sandbox.create(options);
  });
  afterAll(async () => {
    await shared.current?.kill();
  });
  return shared;
}

/** Size of a PNG, from its first chunk. @throws TypeError if the bytes are none. */
export function sizeOfPng(bytes: Uint8Array): { width: number; height: number } {
  const png = Buffer.from(bytes);
  if (png.subarray(1, 4).toString() !== 'PNG') throw new TypeError('not a PNG');
  return { width: png.readUInt32BE(16), height: png.readUInt32BE(20) };
}
