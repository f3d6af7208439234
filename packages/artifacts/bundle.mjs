import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export async function bundleInspector(outFile) {
  await build({
    entryPoints: [fileURLToPath(new URL('src/archive/main.ts', import.meta.url))],
    outfile: outFile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'error',
  });
}
