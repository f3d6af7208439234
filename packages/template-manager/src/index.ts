export {
  type Builder,
  type BuilderOptions,
  type BuildListener,
  type BuildRequest,
  type BuildResult,
  type BuildStep,
  createBuilder,
  type SealRequest,
  type TemplateSealer,
} from './build/build.ts';
export type { Builds } from './builds/builds.ts';
export { type PruneCacheOptions, pruneLayerCache } from './cache.ts';
export { type ClientBuildsOptions, openClientBuilds } from './client-builds.ts';
export { createRegistryPolicy, type RegistryPolicyOptions } from './images/registry-policy.ts';
export type { LockFile, LockOptions } from './layers/layer-store.ts';
export type { PruneResult } from './layers/prune.ts';
export { type Recipe, RecipeError } from './recipe/recipe.ts';
export { BuildCommandError } from './rootfs/run.ts';
export { createTemplateManagerService } from './service.ts';
