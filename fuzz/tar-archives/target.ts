import { ArchiveError } from '../../packages/artifacts/src/archive/archive-error.ts';
import { TarWalk } from '../../packages/artifacts/src/archive/tar-walk.ts';
import { assertSplitInvariant, type Outcome } from '../outcomes.ts';
import type { FuzzTarget } from '../target.ts';

const MAX_ARCHIVE_BYTES = 1024 * 1024;

export const target: FuzzTarget = {
  description: 'an archive that a client uploads for a build, unpacked',
  maxBytes: 128 * 1024,
  run(input) {
    assertSplitInvariant(input, read([input]), read);
  },
};

function read(pieces: readonly Buffer[]): Outcome {
  const walk = new TarWalk(MAX_ARCHIVE_BYTES);
  try {
    for (const piece of pieces) walk.write(piece);
    walk.end();
    return { values: [], error: undefined };
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    return { values: [], error: error.message };
  }
}
