export { DirectorySnapshots } from './directory.ts';
export { incompatibility, type SnapshotHost } from './incompatibility.ts';
export type {
  ProcessorNeeds,
  Runtime,
  SnapshotFacts,
  SnapshotManifest,
  SnapshotNeeds,
  SnapshotSubject,
} from './manifest.ts';
export { readSealed, sealWithSums } from './seal.ts';
export { CachedSnapshots, type StateSource } from './shared/cached-snapshots.ts';
export { type Collected, collectGarbage, LEAST_GRACE_MS } from './shared/collect.ts';
export type { StoredRecord } from './shared/documents.ts';
export { ObjectDirectory } from './shared/object-directory.ts';
export {
  assertObjectKey,
  isObjectKey,
  type ListedObject,
  type ObjectSource,
  type ObjectStore,
  StoreUnavailableError,
} from './shared/object-store.ts';
export { OfferedStates, type TreeArchive } from './shared/offered-states.ts';
export { ReadableStates } from './shared/readable-states.ts';
export { SharedStates } from './shared/shared-states.ts';
export type { OpenSnapshot, SnapshotStore, StoredSnapshot } from './snapshot-store.ts';
