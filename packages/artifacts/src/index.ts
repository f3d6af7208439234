export { ArchiveError, checkedArchive } from './archive.ts';
export type { ArtifactKey, ArtifactStore, PruneResult, UploadGrant } from './artifacts.ts';
export { createDirectoryArtifacts, type DirectoryArtifactsOptions } from './directory.ts';
export { UPLOAD_ROUTE, type UploadClaim, UploadSignatures } from './signatures.ts';
