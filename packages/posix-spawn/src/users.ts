import { readFileSync } from 'node:fs';

/** All ids that there are: the map of a process that is in no user namespace, user_namespaces(7). */
const ALL_IDS = 2 ** 32 - 1;
/** Ids that neither people nor services nor containers of any manager have. */
const FIRST_RESERVED = 1_900_000_000;
/** The last ids of a namespace that are left alone: nobody is among them. */
const LEFT_ALONE = 16;

/** Programs that read strangers' bytes, each of which is a user of its own. */
const PROGRAMS = ['puller', 'gateway'] as const;

/**
 * How many ids the user namespace of this process has, from 0 on without a gap; undefined if it is in none but the machine's own, where
 * root may mount every file system and mark files for all.
 * @param map what /proc/self/uid_map has
 */
export function idsOfNamespace(map = readFileSync('/proc/self/uid_map', 'utf8')): number | undefined {
  const ranges = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .sort(([a = 0], [b = 0]) => a - b);
  let count = 0;
  for (const [first = 0, , length = 0] of ranges) if (first === count) count += length;
  return count >= ALL_IDS ? undefined : count;
}

/** The id of such a program. @throws Error in a user namespace that has too few ids */
export function userOf(program: (typeof PROGRAMS)[number], ids = idsOfNamespace()): number {
  const place = PROGRAMS.indexOf(program);
  if (ids === undefined) return FIRST_RESERVED + place;
  const id = ids - LEFT_ALONE - PROGRAMS.length + place;
  if (id < 1) throw new Error(`the user namespace has ${ids} ids: it needs a range in /etc/subuid`);
  return id;
}
