import { Sandbox, type SandboxOpts } from 'e2b';
import { afterAll, beforeAll, beforeEach, inject } from 'vitest';
import { between, currentMode } from './mode.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');

/** What the SDK is told of the running Islet: the three lines that `./islet up` prints to export. */
export const connection = { apiUrl, sandboxUrl, apiKey };

/** Long enough for any file of tests on a busy machine; whatever one forgot ends by itself. */
export const LIFE_MS = 1_800_000;

const mode = currentMode();

export async function newSandbox(opts: SandboxOpts = {}): Promise<Sandbox> {
  const sandbox = await Sandbox.create({ ...connection, timeoutMs: LIFE_MS, ...opts });
  return between(sandbox, mode, opts.timeoutMs ?? LIFE_MS);
}

/** One sandbox for all tests of a file, or what became of it between them (see `Mode`), killed after the last. The object is filled in before the first test. */
export function sharedSandbox(opts: SandboxOpts = {}): { current: Sandbox } {
  const shared = {} as { current: Sandbox };
  beforeAll(async () => {
    shared.current = await newSandbox(opts);
  });
  beforeEach(async () => {
    shared.current = await between(shared.current, mode, opts.timeoutMs ?? LIFE_MS);
  });
  afterAll(() => shared.current?.kill());
  return shared;
}

/** Runs with a sandbox of its own, which is killed whatever comes. */
export async function withSandbox<T>(opts: SandboxOpts, use: (sandbox: Sandbox) => Promise<T>): Promise<T> {
  const sandbox = await newSandbox(opts);
  try {
    return await use(sandbox);
  } finally {
    await sandbox.kill();
  }
}

/** What a promise was rejected with. @throws Error if it was not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a rejection, but there was none');
}

/** The lines of a command's output, without the last one's end. */
export const lines = (text: string): string[] => text.trimEnd().split('\n');
