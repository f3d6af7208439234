import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { GUEST_PROGRAM } from '../../scripts/guest-program.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

/**
 * Writes `inside.mjs`, which does in a build's sandbox what is no command of the client's, and `http-status.mjs`, which ready
 * commands may use, into a directory.
 * @param {string} outDir
 */
export async function bundleInside(outDir) {
  await build({
    entryPoints: {
      inside: join(here, 'src/inside/main.ts'),
      'http-status': join(here, 'src/inside/http-status.ts'),
    },
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    ...GUEST_PROGRAM,
  });
}
