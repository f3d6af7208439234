/** An archive that no COPY step may be made from; the message says what is wrong with it. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}

/** Of bytes that are no whole archive. */
export function unreadable(why: string): ArchiveError {
  return new ArchiveError(`the archive cannot be read: ${why}`);
}
