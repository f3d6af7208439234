// Bundles the command line, npm packages included, so that it needs nothing but Node beside what lies in the same
// folder.
import { copyFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { copyKoffi, koffiBesideBundle } from '../packages/envd/bundle.mjs';
import { REQUIRE_BANNER } from './guest-program.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What PGlite reads from the folder of its own module. */
const PGLITE_FILES = ['pglite.wasm', 'pglite.data', 'initdb.wasm'];

/**
 * Writes `islet.mjs`, and into the folder `islet` what it loads: chunks, the programs of threads, native files.
 * @param {string} version
 * @param {string} outDir
 */
export async function bundleCommandLine(version, outDir) {
  await build({
    entryPoints: {
      islet: join(root, 'packages/cli/src/main.ts'),
      'islet/volume-server': join(root, 'packages/nfs/src/main.ts'),
      'islet/checkpoint-reader': join(root, 'packages/driver-gvisor/src/repair-main.ts'),
      'islet/archive-inspector': join(root, 'packages/artifacts/src/archive/main.ts'),
      'islet/egress-gateway': join(root, 'packages/egress/src/main.ts'),
      'islet/history': join(root, 'packages/sinks/src/history/main.ts'),
      'islet/proxies': join(root, 'packages/cli/src/up/proxies/main.ts'),
    },
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'islet/[name]-[hash]',
    bundle: true,
    // A command loads no more than it needs.
    splitting: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    // A module in CommonJS that is loaded by import() would have a default export only.
    mainFields: ['module', 'main'],
    // Packages in CommonJS load Node's own modules with it.
    banner: { js: REQUIRE_BANNER },
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'warning',
    // A native client of PostgreSQL that pg would prefer if somebody had installed it.
    external: ['pg-native'],
    plugins: [koffiBesideBundle],
    define: { ISLET_VERSION: JSON.stringify(version) },
  });
  await copyKoffi(join(outDir, 'islet'));
  const pglite = dirname(
    createRequire(join(root, 'packages/db/package.json')).resolve('@electric-sql/pglite'),
  );
  for (const name of PGLITE_FILES) await copyFile(join(pglite, name), join(outDir, 'islet', name));
}
