/** What the Node that runs the bundle is built for; this process's own where absent. */
export interface BundleTarget {
  arch?: 'x64' | 'arm64';
  libc?: 'glibc' | 'musl';
}

/**
 * Writes `envd.mjs`, the front of sudo (`sudo.mjs`) and the native file they load into a directory; they need nothing
 * else but Node.
 */
export function bundleEnvd(outDir: string, target?: BundleTarget): Promise<void>;

/** Stands in for koffi's own loader in a bundle: it looks for the native file beside the bundle. */
export const koffiBesideBundle: import('esbuild').Plugin;

/** Copies koffi's native file to where a bundle made with `koffiBesideBundle` looks for it. */
export function copyKoffi(outDir: string, target?: BundleTarget): Promise<void>;
