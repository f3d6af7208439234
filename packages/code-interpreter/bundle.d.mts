/** Writes `code-interpreter.mjs` and the files of its hosts (`python/`) into a directory; Node needs nothing else. */
export function bundleCodeInterpreter(outDir: string): Promise<void>;
