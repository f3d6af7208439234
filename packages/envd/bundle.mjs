import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { GUEST_PROGRAM } from '../../scripts/guest-program.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Stands in for koffi's own loader, which looks for its native file in node_modules: the bundle looks beside itself. */
export const koffiBesideBundle = {
  name: 'koffi-beside-bundle',
  /** @param {import('esbuild').PluginBuild} builder */
  setup(builder) {
    builder.onResolve({ filter: /^koffi$/ }, () => ({ path: 'koffi', namespace: 'beside' }));
    builder.onLoad({ filter: /.*/, namespace: 'beside' }, () => ({
      contents: `import { createRequire } from 'node:module';
export default createRequire(import.meta.url)('./koffi.node');`,
    }));
  },
};

/**
 * Writes `envd.mjs`, the front of sudo (`sudo.mjs`) and the native file they load into a directory; they need nothing
 * else but Node.
 * @param {string} outDir
 * @param {{ arch?: 'x64' | 'arm64', libc?: 'glibc' | 'musl' }} [target] what the Node that runs it is built for
 */
export async function bundleEnvd(outDir, target = {}) {
  await mkdir(outDir, { recursive: true });
  await build({
    entryPoints: { envd: join(here, 'src/main.ts'), sudo: join(here, 'src/privileges/sudo-main.ts') },
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    ...GUEST_PROGRAM,
    // An uncaught error prints its source line: keep it one that a log can hold.
    lineLimit: 200,
    plugins: [koffiBesideBundle],
    // Stands for the global one, see there.
    inject: [join(here, 'src/http/headers.ts')],
  });
  await copyKoffi(outDir, target);
}

/**
 * Copies koffi's native file to where a bundle made with `koffiBesideBundle` looks for it.
 * @param {string} outDir
 * @param {{ arch?: 'x64' | 'arm64', libc?: 'glibc' | 'musl' }} [target] as for `bundleEnvd`
 */
export async function copyKoffi(outDir, target = {}) {
  const { arch = process.arch, libc = 'glibc' } = target;
  const require = createRequire(import.meta.url);
  const packageFile = createRequire(require.resolve('koffi')).resolve(
    `@koromix/koffi-linux-${arch}/package.json`,
  );
  const native = join(packageFile, '..', `${libc === 'musl' ? 'musl' : 'linux'}_${arch}`, 'koffi.node');
  await copyFile(native, join(outDir, 'koffi.node'));
  await chmod(join(outDir, 'koffi.node'), 0o644);
}
