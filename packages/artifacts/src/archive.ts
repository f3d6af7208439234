import { once } from 'node:events';
import { Parser, type ReadEntry } from 'tar';

/** Most entries of one archive; a package folder with all its dependencies has some hundred thousand. */
const MAX_ENTRIES = 2_000_000;
/** Longest long name or link target that an archive may hold, bytes: what Linux takes as a path. */
const MAX_META_BYTES = 64 * 1024;

/** An archive that no COPY step may be made from; the message says what is wrong with it. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}

/**
 * Passes a tar archive (plain or gzip) on as it comes, and looks at every entry on the way.
 * @param maxUnpackedBytes longest sum of the files in it
 * @throws ArchiveError from the iteration: where it is no whole archive, an entry would be put outside of the folder
 *   that it is unpacked in, is neither file, folder nor link, or all together are larger than allowed
 */
export async function* checkedArchive(
  content: AsyncIterable<Uint8Array>,
  maxUnpackedBytes: number,
): AsyncGenerator<Uint8Array> {
  let problem: Error | undefined;
  let finished = false;
  let entries = 0;
  let bytes = 0;
  const refuse = (why: string) => {
    problem ??= new ArchiveError(why);
  };
  const parser = new Parser({
    strict: true,
    maxMetaEntrySize: MAX_META_BYTES,
    // What is in it is bounded below; a file of zeros may shrink by any factor.
    maxDecompressionRatio: Number.POSITIVE_INFINITY,
    onReadEntry(entry) {
      const why = entryProblem(entry);
      bytes += entry.size;
      if (why) refuse(why);
      else if (++entries > MAX_ENTRIES) refuse(`the archive has more than ${MAX_ENTRIES} entries`);
      else if (bytes > maxUnpackedBytes) {
        refuse(`the files in the archive are larger than ${Math.floor(maxUnpackedBytes / 1024 ** 2)} MiB`);
      }
      entry.resume();
    },
  });
  parser.on('ignoredEntry', (entry: ReadEntry) => refuse(entryProblem(entry) ?? unsupported(entry)));
  parser.on('error', (error: Error) => refuse(`the archive cannot be read: ${error.message}`));
  parser.on('end', () => {
    finished = true;
  });

  for await (const chunk of content) {
    const ready = parser.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    if (problem) throw problem;
    if (!ready) await Promise.race([once(parser, 'drain'), once(parser, 'end')]);
    if (problem) throw problem;
    yield chunk;
  }
  const ended = finished ? undefined : once(parser, 'end');
  ended?.catch(() => {});
  parser.end();
  if (!problem && !finished) await ended?.catch(() => {});
  if (problem) throw problem;
}

const LINKS: ReadonlySet<string> = new Set(['SymbolicLink', 'Link']);
const TYPES: ReadonlySet<string> = new Set([
  'File',
  'OldFile',
  'ContiguousFile',
  'Directory',
  'GNUDumpDir',
  ...LINKS,
]);

const unsupported = (entry: ReadEntry) =>
  `the archive's entry '${entry.path}' is a ${entry.type}: only files, folders and links can be copied`;

/** Why an entry may not be in an archive. */
function entryProblem(entry: ReadEntry): string | undefined {
  if (!TYPES.has(entry.type)) return unsupported(entry);
  if (leavesFolder(entry.path)) return `the archive's entry '${entry.path}' lies outside of its folder`;
  // A symbolic link may name any place of the image. A hard link is made when it is unpacked, on the builder.
  if (entry.type === 'Link' && leavesFolder(entry.linkpath ?? '')) {
    return `the archive's hard link '${entry.path}' leads outside of its folder`;
  }
  return undefined;
}

function leavesFolder(path: string): boolean {
  return path.startsWith('/') || path.includes('\0') || path.split('/').includes('..');
}
