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
