import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { targetFile } from './targets.ts';

/** The instrumentation wants CommonJS; what npm installs is not instrumented. */
export async function bundle(name: string, work: string): Promise<string> {
  const outfile = join(work, 'target.cjs');
  await build({
    stdin: {
      resolveDir: import.meta.dirname,
      loader: 'ts',
      contents: `
        import { guarded } from './guard.ts';
        import { target } from ${JSON.stringify(targetFile(name))};
        export const fuzz = guarded(target);`,
    },
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    plugins: [NPM_EXTERNAL, OWN_PLACE],
    logLevel: 'warning',
  });
  return outfile;
}

const NPM_EXTERNAL: Plugin = {
  name: 'npm-external',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^[^./]/ }, ({ kind, path }) =>
      kind === 'entry-point' || path.startsWith('@islet/') ? undefined : { path, external: true },
    ),
};

/** What a file finds beside itself it finds there, not beside the bundle. */
const OWN_PLACE: Plugin = {
  name: 'own-place',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.(?:ts|mjs)$/ }, async ({ path }) => ({
      loader: 'ts',
      contents: (await readFile(path, 'utf8'))
        .replaceAll('import.meta.dirname', () => JSON.stringify(dirname(path)))
        .replaceAll('import.meta.url', () => JSON.stringify(pathToFileURL(path).href)),
    })),
};

/** Gives the exit status; null if it was killed. */
export async function runJazzer(log: string, args: readonly string[]): Promise<number | null> {
  const jazzer = createRequire(import.meta.url).resolve('@jazzer.js/core/dist/cli.js');
  const to = createWriteStream(log);
  const child = spawn(process.execPath, [jazzer, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(to, { end: false });
  child.stderr.pipe(to, { end: false });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  to.end();
  await finished(to);
  return status;
}
