import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { IsletError } from './error.ts';

interface Entry {
  name: string;
  error: IsletError;
  /** Status and message, with the same words for every argument. */
  template: string;
}

/** Stands for an argument that ends up in a message. */
const TEXT = 'words';

/** Arguments of functions that take other things than text, numbers and causes. */
const ARGUMENTS: Readonly<Record<string, readonly unknown[]>> = {
  buildNotFound: [404, TEXT],
  buildNotStarted: [500, TEXT],
  invalidMounts: [[TEXT]],
  mountsOnSeveralNodes: [[TEXT, TEXT]],
  placementFailed: [503, TEXT, 'sandbox_create_failed'],
  quotaExceeded: [{ what: TEXT, used: 7, wanted: 1, most: 7, remedy: TEXT, flag: TEXT }],
  savedStateUnusable: [500, TEXT, TEXT],
  volumePathRefused: [404, TEXT, TEXT],
};

/** What the files of the catalogue hold beside functions that give an error. */
const NO_ERRORS = ['isPlacementFailure'];

/** Fits for text, a number or the error whose message a function takes over. */
class Argument extends Error {
  override toString(): string {
    return TEXT;
  }
}

const isClass = (made: object) => /^class\b/.test(String(made));

async function entries(): Promise<Entry[]> {
  const files = (await readdir(import.meta.dirname)).filter(
    (name) => !name.endsWith('.test.ts') && name !== 'error.ts' && name !== 'rpc.ts',
  );
  const modules: Record<string, unknown>[] = await Promise.all(
    files.map((file) => import(/* @vite-ignore */ join(import.meta.dirname, file))),
  );
  return modules.flatMap((module) =>
    Object.entries(module).flatMap(([name, make]) => {
      if (typeof make !== 'function' || NO_ERRORS.includes(name)) return [];
      const args = ARGUMENTS[name] ?? Array.from({ length: make.length }, () => new Argument(TEXT));
      const error: IsletError = isClass(make) ? Reflect.construct(make, args) : make(...args);
      return [{ name, error, template: `${error.status} ${error.message}` }];
    }),
  );
}

const all = await entries();

/** Names by what they say, those that say the same together. */
function repeated(): string[][] {
  const names = new Map<string, string[]>();
  for (const { name, template } of all) names.set(template, [...(names.get(template) ?? []), name]);
  return [...names.values()].filter(({ length }) => length > 1);
}

it('gives every error a status of errors and a message that can be read', () => {
  expect(all.length).toBeGreaterThan(150);
  for (const { name, error } of all) {
    expect(error, name).toBeInstanceOf(IsletError);
    expect(error.status, name).toBeGreaterThanOrEqual(400);
    expect(error.status, name).toBeLessThanOrEqual(599);
    expect(error.message, name).toMatch(/^\S.*[^\s:,;.]\.?$/s);
    expect(error.message, name).not.toMatch(/undefined|\[object|NaN|\$\{| {2}/);
  }
});

it('has one function for what is said', () => {
  expect(repeated()).toEqual([]);
});

it('has one error for a name', () => {
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
});
