/**
 * A machine cannot go on: a file that it had open when it was saved is not there any more. `cause` is what the runtime
 * said. To try again helps only after somebody has put the file back.
 */
export class MissingFileError extends Error {
  override name = 'MissingFileError';
}
