import { posix } from 'node:path';
import { invalidMounts, mountsNotEnabled, mountsOnSeveralNodes, tooManyMounts } from '@islet/contracts';
import { findVolumesByName, type Team, type Volume } from '@islet/db';
import type { ApiContext } from '../context.ts';

export interface RequestedMount {
  name: string;
  path: string;
}

export interface ResolvedMount extends RequestedMount {
  volumeId: string;
}

export interface ResolvedMounts {
  mounts: ResolvedMount[];
  /** The node that has all of these volumes; undefined if there are none, or there is only one node. */
  nodeId: string | undefined;
}

const MOST_MOUNTS = 16;
const MAX_PATH_BYTES = 1024;

/** What a sandbox does not work without. */
const RESERVED = ['/proc', '/sys', '/dev', '/opt/islet', '/run/e2b'];

/** What is wrong with a list of mounts, a line each: `volume mount #<i>: <reason>`. Empty if all is well. */
export function mountDefects(
  mounts: readonly RequestedMount[],
  known: ReadonlyMap<string, unknown>,
): string[] {
  return mounts.flatMap(({ name, path }, i) => {
    const taken = mounts.findIndex((other) => other.path === path) < i;
    const reason = pathDefect(path) ?? (taken ? `path '${path}' is used twice` : undefined);
    if (reason) return [`volume mount #${i}: ${reason}`];
    return known.has(name) ? [] : [`volume mount #${i}: volume '${name}' not found`];
  });
}

function pathDefect(path: string): string | undefined {
  if (path === '') return 'path is empty';
  if (path.includes('\0')) return 'path holds a NUL character';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `path is longer than ${MAX_PATH_BYTES} bytes`;
  if (!path.startsWith('/')) return `path '${path}' is not absolute`;
  if (path === '/') return 'path is the root of the file system';
  if (posix.normalize(path) !== path || path.endsWith('/')) {
    return `path '${path}' is not clean: no '.', '..', double or trailing slash`;
  }
  const reserved = RESERVED.find((dir) => path === dir || path.startsWith(`${dir}/`));
  return reserved && `path '${path}' is in ${reserved}, which is the system's own`;
}

/**
 * The volumes that a create asks for.
 * @throws IsletError 400 with all that is wrong
 */
export async function resolveMounts(
  context: ApiContext,
  team: Team,
  mounts: readonly RequestedMount[],
): Promise<ResolvedMounts> {
  if (mounts.length === 0) return { mounts: [], nodeId: undefined };
  if (context.volumeSizeMb === undefined) throw mountsNotEnabled();
  if (mounts.length > MOST_MOUNTS) {
    throw tooManyMounts(MOST_MOUNTS);
  }
  const found = await findVolumesByName(
    context.db,
    team.id,
    mounts.map(({ name }) => name),
  );
  const known = new Map<string, Volume>(found.map((volume) => [volume.name, volume]));
  const defects = mountDefects(mounts, known);
  if (defects.length > 0) {
    throw invalidMounts(defects);
  }
  const resolved = mounts.flatMap(({ name, path }) => {
    const volume = known.get(name);
    return volume ? [{ name, path, volumeId: volume.id }] : [];
  });
  return { mounts: resolved, nodeId: nodeOfAll(found) };
}

function nodeOfAll(volumes: readonly Volume[]): string | undefined {
  const [nodeId, another] = new Set(volumes.flatMap((volume) => volume.nodeId ?? []));
  if (another === undefined) return nodeId;
  throw mountsOnSeveralNodes(volumes.map(({ name }) => name));
}
