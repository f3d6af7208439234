import { delimiter } from 'node:path';

/** Where systems keep the programs that root runs. An ordinary user's PATH lacks the `sbin` ones, and sudo may hand it on. */
const SYSTEM_DIRS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** A PATH in which the system's own programs are found: what was given first, then the system's folders that it lacks. */
export function searchPath(path: string | undefined): string {
  const given = (path ?? '').split(delimiter).filter(Boolean);
  return [...new Set([...given, ...SYSTEM_DIRS])].join(delimiter);
}
