import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FuzzTarget } from './target.ts';

const ROOT = import.meta.dirname;
const TARGET = 'target.ts';

/** The names of all targets: folders with a `target.ts`. */
export function targetNames(): string[] {
  return readdirSync(ROOT)
    .filter((name) => existsSync(targetFile(name)))
    .sort();
}

export function targetFile(name: string): string {
  return join(ROOT, name, TARGET);
}

export async function loadTarget(name: string): Promise<FuzzTarget> {
  return ((await import(targetFile(name))) as { target: FuzzTarget }).target;
}

/** Inputs that are kept: each reaches a part of the reader that no other one reaches. */
export function seedsDir(name: string): string {
  return join(ROOT, name, 'seeds');
}

/** Inputs that once broke a promise. */
export function crashesDir(name: string): string {
  return join(ROOT, name, 'crashes');
}

/** Nothing if there is no such folder. */
export function filesIn(dir: string): { path: string; bytes: Buffer }[] {
  let names: string[];
  try {
    names = readdirSync(dir).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names.map((name) => ({ path: join(dir, name), bytes: readFileSync(join(dir, name)) }));
}
