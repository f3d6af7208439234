import { createRequire } from 'node:module';
import { join } from 'node:path';
import vm from 'node:vm';
import { NAMED, PICK, type PreparedCell } from './cell.ts';

/** Behind the path of a cell's folder; how traces name it. */
export const cellName = (count: number) => `[cell ${count}]`;

/** Puts into the global object what cells find there beside what Node has. */
export function prepareGlobals(display: (value: unknown) => void): void {
  const here = () => join(process.cwd(), cellName(0));
  define('display', { value: display, writable: true });
  define('require', {
    get: () => createRequire(here()),
    set: (value) => define('require', { value, writable: true }),
  });
  define(PICK, { value: pickExports });
  define(NAMED, { value: named });
}

/**
 * Runs a cell in the global scope. Resolves with the value of its last expression, and with what that resolves to if it is
 * a promise.
 */
export async function evaluate({ script, names }: PreparedCell, count: number): Promise<unknown> {
  for (const name of names) makeAssignable(name);
  const compiled = new vm.Script(script, {
    // Modules are looked for from where the process is.
    filename: join(process.cwd(), cellName(count)),
    columnOffset: -script.indexOf('{') - 1,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const result: { value?: unknown } | undefined = await compiled.runInThisContext({
    displayErrors: false,
    breakOnSigint: true,
  });
  return await result?.value;
}

/** A name that a cell declares may be one of Node's, such as `crypto`. */
function makeAssignable(name: string): void {
  const known = Object.getOwnPropertyDescriptor(globalThis, name);
  if (known?.writable) return;
  define(name, { value: undefined, writable: true, enumerable: true });
}

function define(name: string, property: PropertyDescriptor): void {
  Object.defineProperty(globalThis, name, { configurable: true, ...property });
}

function pickExports(module: Record<string, unknown>, from: string, wanted: string[]): unknown[] {
  return wanted.map((name) => {
    if (name === '*') return module;
    if (name in module) return module[name];
    throw new SyntaxError(`The requested module '${from}' does not provide an export named '${name}'`);
  });
}

function named(value: (...args: unknown[]) => unknown, name: string): unknown {
  return Object.defineProperty(value, 'name', { value: name, configurable: true });
}
