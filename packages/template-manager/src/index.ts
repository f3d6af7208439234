export type { BuildOutcome, BuildSpec } from './builds/build-spec.ts';
export type { Builds } from './builds/builds.ts';
export { type PruneCacheOptions, pruneLayerCache } from './cache.ts';
export { type ClientBuildsOptions, openClientBuilds } from './client-builds.ts';
export type { Report } from './engine/reporter.ts';
export { createRegistryPolicy, type RegistryPolicyOptions } from './images/registry-policy.ts';
export type { LockFile, LockOptions } from './layers/layer-store.ts';
export type { PruneResult } from './layers/prune.ts';
export { createTemplateManagerService } from './service.ts';
export {
  createShippedTemplates,
  listShipped,
  type ShippedTemplate,
  type ShippedTemplates,
  type ShippedTemplatesOptions,
  shippedTemplateId,
} from './shipped/shipped.ts';
