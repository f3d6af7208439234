export { ArchiveError } from './archive/archive-error.ts';
export {
  ArchiveInspector,
  type ArchiveInspectorOptions,
  type Inspection,
  InspectorBusyError,
} from './archive/inspector.ts';
export type { ArtifactKey, ArtifactStore, PruneResult, UploadGrant } from './artifacts.ts';
export { createDirectoryArtifacts, type DirectoryArtifactsOptions } from './directory.ts';
export { UPLOAD_ROUTE, type UploadClaim, UploadSignatures } from './signatures.ts';
