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
export type { OpenSnapshot, SnapshotStore, StoredSnapshot } from './snapshot-store.ts';
