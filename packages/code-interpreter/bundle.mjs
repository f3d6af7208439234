import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { GUEST_PROGRAM } from '../../scripts/guest-program.mjs';
import { bundleJavascriptHost } from './src/hosts/javascript/bundle.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

/**
 * Writes `code-interpreter.mjs` and the files of its hosts (`python/`, `javascript/`, …) into a directory; Node needs nothing else.
 * @param {string} outDir
 */
export async function bundleCodeInterpreter(outDir) {
  await mkdir(outDir, { recursive: true });
  await build({
    entryPoints: { 'code-interpreter': join(here, 'src/main.ts') },
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    ...GUEST_PROGRAM,
    // An uncaught error prints its source line: keep it one that a log can hold.
    lineLimit: 200,
  });
  await bundleJavascriptHost(join(outDir, 'javascript'));
  for (const language of ['python', 'bash', 'r', 'jupyter']) {
    await cp(join(here, 'src/hosts', language, 'host'), join(outDir, language), {
      recursive: true,
      filter: (path) => !path.includes('__pycache__'),
    });
  }
}
