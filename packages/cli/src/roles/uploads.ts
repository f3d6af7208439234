import { join } from 'node:path';
import type { ApiDeps } from '@islet/api';
import { ArchiveInspector, createDirectoryArtifacts, UploadSignatures } from '@islet/artifacts';
import type { Instance } from '../host/instance.ts';
import type { Secrets } from '../host/secrets.ts';
import type { Layout } from '../layout.ts';

/**
 * Uploads looked at at once: with less urgency than anything that answers, so that one core is left at least on most
 * machines.
 */
const INSPECTIONS = { atOnce: 2, limitMs: 300_000 };

export type Uploads = Required<Pick<ApiDeps, 'artifacts' | 'uploads'>>;

/** Where clients' uploads for COPY steps are kept. */
export function artifactsDir({ dataDir }: Instance, chosen: string | undefined): string {
  return chosen ?? join(dataDir, 'artifacts');
}

/** The uploads of an API. @param directory where they are kept */
export function openUploads(directory: string, secrets: Pick<Secrets, 'tokenSeed'>, layout: Layout): Uploads {
  const signatures = new UploadSignatures(secrets.tokenSeed);
  return {
    artifacts: createDirectoryArtifacts({ directory, signatures }),
    uploads: {
      signatures,
      inspector: new ArchiveInspector({ program: layout.archiveInspector, ...INSPECTIONS }),
    },
  };
}
