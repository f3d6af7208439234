import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { GUEST_PROGRAM } from '../../../../../scripts/guest-program.mjs';
import { copyKoffi } from '../../../../envd/bundle.mjs';

const inside = fileURLToPath(new URL('./inside', import.meta.url));

/**
 * Writes the programs of the JavaScript host into a directory; Node needs nothing else. What strips types is a file of its own,
 * since only TypeScript contexts load it.
 * @param {string} outDir
 */
export async function bundleJavascriptHost(outDir) {
  await build({
    entryPoints: { main: join(inside, 'main.ts'), watcher: join(inside, 'watcher.ts') },
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    ...GUEST_PROGRAM,
    splitting: true,
    lineLimit: 200,
    banner: {
      js: `import { createRequire as createRequireOfBundle } from 'node:module';
import { dirname as dirnameOfBundle } from 'node:path';
import { fileURLToPath as pathOfBundle } from 'node:url';
const require = createRequireOfBundle(import.meta.url);
const __dirname = dirnameOfBundle(pathOfBundle(import.meta.url));`,
    },
  });
  await copyKoffi(outDir);
}
