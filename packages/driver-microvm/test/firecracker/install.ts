import { chmod, copyFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build } from 'esbuild';

/** Puts the programs that stand for a release of Firecracker into a folder; gives back the path of `firecracker`. */
export async function installFirecracker(dir: string): Promise<string> {
  const bundle = join(dir, 'process.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, 'process.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // Packages in CommonJS load Node's own modules with it.
    banner: {
      js: `import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url);`,
    },
    logLevel: 'error',
    plugins: [
      {
        name: 'koffi-where-it-is',
        setup: (builder) =>
          builder.onResolve({ filter: /^koffi$/ }, () => ({
            path: createRequire(import.meta.url).resolve('koffi'),
            external: true,
          })),
      },
    ],
  });
  const firecracker = join(dir, 'firecracker');
  await writeFile(firecracker, `#!/bin/sh\nexec '${process.execPath}' '${bundle}' "$@"\n`);
  await copyFile(join(import.meta.dirname, 'jailer.sh'), join(dir, 'jailer'));
  for (const program of [firecracker, join(dir, 'jailer')]) await chmod(program, 0o755);
  return firecracker;
}
