import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AptSource,
  DEFAULT_MIRROR,
  type DebianMirror,
  mirrorFromOption,
  mirrorOfHost,
  parseDeb822Sources,
  parseSourcesList,
} from './sources.ts';

export interface MirrorOptions {
  /** What the operator set (ISLET_DEBIAN_MIRROR); wins over everything. */
  mirror: string | undefined;
  /** `/` outside of tests. */
  hostRoot: string;
}

/** Which mirror to build from: the operator's, else the host's own if it is Debian, else Debian's. */
export async function chooseMirror(options: MirrorOptions): Promise<DebianMirror> {
  if (options.mirror) return mirrorFromOption(options.mirror);
  const release = parseOsRelease(await readIfThere(join(options.hostRoot, 'etc/os-release')));
  if (release.ID !== 'debian' || !release.VERSION_CODENAME) return DEFAULT_MIRROR;
  return mirrorOfHost(await readAptSources(join(options.hostRoot, 'etc/apt')), release.VERSION_CODENAME);
}

export function parseOsRelease(text: string): Partial<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^([A-Z_]+)=(?:"(.*)"|(.*))$/.exec(line.trim());
    if (match?.[1]) fields[match[1]] = match[2] ?? match[3] ?? '';
  }
  return fields;
}

async function readAptSources(etcApt: string): Promise<AptSource[]> {
  const parts = await readdir(join(etcApt, 'sources.list.d')).catch(whereMissing<string[]>([]));
  const sources = parseSourcesList(await readIfThere(join(etcApt, 'sources.list')));
  for (const name of parts.sort()) {
    const text = await readIfThere(join(etcApt, 'sources.list.d', name));
    if (name.endsWith('.list')) sources.push(...parseSourcesList(text));
    if (name.endsWith('.sources')) sources.push(...parseDeb822Sources(text));
  }
  return sources;
}

async function readIfThere(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(whereMissing(''));
}

function whereMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return value;
    throw error;
  };
}
