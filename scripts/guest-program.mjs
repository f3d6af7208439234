/** Of a bundle that calls Node's own modules by `require`, as packages in CommonJS do. */
export const REQUIRE_BANNER = `import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url);`;

/** What esbuild is told of every program that runs in sandboxes: one small file that Node runs with nothing beside it. */
export const GUEST_PROGRAM = {
  bundle: true,
  minify: true,
  keepNames: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  banner: { js: REQUIRE_BANNER },
  legalComments: 'none',
  logLevel: 'error',
};
