import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StateFileError } from './chunk-reader.ts';
import { type Fields, type FieldValue, nothingIn, type Offsets, readState } from './state-file.ts';

/** Of a snapshot: all that the sandbox is but its memory. */
export const CHECKPOINT_FILE = 'checkpoint.img';

const KERNEL = 'pkg/sentry/kernel.Kernel';
const EPOLL = 'pkg/sentry/vfs.EpollInstance';
const INTEREST = 'pkg/sentry/vfs.epollInterest';

/** An idle sandbox's has 3 MB, one of 20,000 files 25 MB. */
const MAX_BYTES = 512 * 1024 * 1024;

/**
 * Makes a checkpoint restore with epoll instances that report what happens, and nothing else. Two faults of gVisor (release 20240729)
 * are made good, in place:
 *
 * *Entries of closed files.* gVisor leaves pointers between the entries of an instance behind that were found not ready together,
 * as all are in the first wait after a restore. An entry whose file is closed later stays reachable by such a pointer, is
 * saved, and is marked ready by the next restore, from when on every wait reports it: as a hang-up of a descriptor that is
 * closed, or is another file by then. Programs spin, and break connections that got the descriptor's number. The masks of
 * entries that no instance holds in its table are set to no event at all, which drops them from the first wait.
 *
 * *Torn lists of ready entries.* Packets come in while an instance is saved, and its list is written at another moment than its entries.
 * An entry that is saved as ready and is not in the list is never put there again: a restored server accepts no connection any
 * more. Such an instance is made one in which nothing is ready. A restore has each entry looked at anyway.
 * @returns how many values were overwritten.
 * @throws StateFileError if the checkpoint is not as this release writes it, or too large.
 */
export async function repairEpolls(snapshotDir: string): Promise<number> {
  const file = join(snapshotDir, CHECKPOINT_FILE);
  const { size } = await stat(file);
  if (size > MAX_BYTES) throw new StateFileError(`the checkpoint has ${size} bytes, more than ${MAX_BYTES}`);
  const faults = epollFaults(await readFile(file));
  if (faults.length === 0) return 0;
  const handle = await open(file, 'r+');
  try {
    for (const offsets of faults) {
      const bytes = nothingIn(offsets);
      for (const [index, offset] of offsets.entries()) await handle.write(bytes, index, 1, offset);
    }
  } finally {
    await handle.close();
  }
  return faults.length;
}

interface Instance {
  /** The map of its entries. */
  table: number | undefined;
  first: FieldValue | undefined;
  last: FieldValue | undefined;
}

interface Interest {
  instance: number | undefined;
  mask: FieldValue | undefined;
  ready: FieldValue | undefined;
  next: number | undefined;
  previous: number | undefined;
}

/** The values that are to be nothing: masks of entries that belong to no instance any more, and what is ready of torn instances. */
export function epollFaults(image: Buffer): Offsets[] {
  const tables = new Map<number, number[]>();
  const instances = new Map<number, Instance>();
  const interests = new Map<number, Interest>();
  readState(image, KERNEL, {
    types: new Set([EPOLL, INTEREST]),
    onMap: (object, { values }) => void tables.set(object, values),
    onStruct(object, type, fields) {
      if (type === EPOLL) instances.set(object, instanceOf(fields));
      else interests.set(object, interestOf(fields));
    },
  });
  const held = new Set([...instances.values()].flatMap(({ table }) => tables.get(table ?? 0) ?? []));
  const dead = [...interests].flatMap(([object, { mask }]) =>
    held.has(object) || mask?.kind !== 'uint' || mask.value === 0 ? [] : [mask.offsets],
  );
  const owned = byInstance(interests);
  const torn = [...instances].flatMap(([object, instance]) => {
    const own = owned.get(object) ?? new Map<number, Interest>();
    return isTorn(instance, own) ? readinessOf(instance, own) : [];
  });
  return [...dead, ...torn];
}

function instanceOf(fields: Fields): Instance {
  const list = within(fields.get('ready'));
  return { table: numberOf(fields.get('interest')), first: list?.get('head'), last: list?.get('tail') };
}

function interestOf(fields: Fields): Interest {
  const entry = within(fields.get('epollInterestEntry'));
  return {
    instance: numberOf(fields.get('epoll')),
    mask: fields.get('mask'),
    ready: fields.get('ready'),
    next: numberOf(entry?.get('next')),
    previous: numberOf(entry?.get('prev')),
  };
}

function byInstance(interests: ReadonlyMap<number, Interest>): Map<number, Map<number, Interest>> {
  const owned = new Map<number, Map<number, Interest>>();
  for (const [object, interest] of interests) {
    if (interest.instance === undefined) continue;
    const own = owned.get(interest.instance) ?? new Map<number, Interest>();
    owned.set(interest.instance, own.set(object, interest));
  }
  return owned;
}

const within = (value: FieldValue | undefined) => (value?.kind === 'struct' ? value.fields : undefined);
const numberOf = (value: FieldValue | undefined) => (value?.kind === 'reference' ? value.object : undefined);
const isReady = ({ ready }: Interest) => ready?.kind === 'bool' && ready.value;

/** Whether other entries are ready than those of the list, or that is none. */
function isTorn({ first, last }: Instance, interests: ReadonlyMap<number, Interest>): boolean {
  const listed = new Set<number>();
  let previous: number | undefined;
  for (let at = numberOf(first); at !== undefined; ) {
    const interest = interests.get(at);
    if (!interest || listed.has(at) || !isReady(interest) || interest.previous !== previous) return true;
    listed.add(at);
    previous = at;
    at = at === numberOf(last) ? undefined : interest.next;
  }
  if (previous !== numberOf(last)) return true;
  return [...interests].some(([object, interest]) => isReady(interest) && !listed.has(object));
}

/** All that says that something of an instance is ready. @throws StateFileError if it cannot be overwritten */
function readinessOf({ first, last }: Instance, interests: ReadonlyMap<number, Interest>): Offsets[] {
  const ends = [first, last].flatMap((end) => {
    if (end?.kind !== 'reference') return [];
    if (!end.offsets) throw new StateFileError('a list of ready entries begins within another object');
    return [end.offsets];
  });
  return [
    ...ends,
    ...[...interests.values()].flatMap(({ ready }) => (ready?.kind === 'bool' ? [ready.offsets] : [])),
  ];
}
