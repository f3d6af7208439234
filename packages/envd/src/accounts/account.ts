import { readFileSync, statSync } from 'node:fs';

/** A user of the image: who a process runs as, and who owns what is created. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
  home: string;
  /** All groups, the primary one included. */
  groups: readonly number[];
}

/** The image's users and groups. */
export interface Accounts {
  find(name: string): Account | undefined;
  /** The name of an id, the number as text if it has none. */
  userName(uid: number): string;
  groupName(gid: number): string;
}

interface UserLine {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupLine {
  name: string;
  gid: number;
  members: string[];
}

/** Reads lines of passwd(5); lines that are none are left out, as libc does. */
export function parsePasswd(text: string): UserLine[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid, , home] = line.split(':');
    if (!name || name.startsWith('#') || !isId(uid) || !isId(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid), home: home || '/' }];
  });
}

/** Reads lines of group(5). */
export function parseGroup(text: string): GroupLine[] {
  return text.split('\n').flatMap((line) => {
    const [name, , gid, members] = line.split(':');
    if (!name || name.startsWith('#') || !isId(gid)) return [];
    return [{ name, gid: Number(gid), members: members ? members.split(',') : [] }];
  });
}

function isId(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 0xffffffff;
}

/** Parses /etc/passwd and /etc/group under `root`, again whenever they change. */
export function createAccounts(root = ''): Accounts {
  const users = cachedFile(`${root}/etc/passwd`, (text) => {
    const lines = parsePasswd(text);
    return { byName: firstBy(lines, (l) => l.name), byId: firstBy(lines, (l) => l.uid) };
  });
  const groups = cachedFile(`${root}/etc/group`, (text) => {
    const lines = parseGroup(text);
    return { lines, byId: firstBy(lines, (l) => l.gid) };
  });

  return {
    find(name) {
      const user = users()?.byName.get(name) ?? (name === 'root' ? ROOT : undefined);
      if (!user) return undefined;
      const joined = groups()?.lines.filter((group) => group.members.includes(name)) ?? [];
      return { ...user, groups: [...new Set([user.gid, ...joined.map((group) => group.gid)])] };
    },
    userName: (uid) => users()?.byId.get(uid)?.name ?? String(uid),
    groupName: (gid) => groups()?.byId.get(gid)?.name ?? String(gid),
  };
}

/** Images without a passwd file still have a root. */
const ROOT: UserLine = { name: 'root', uid: 0, gid: 0, home: '/root' };

function firstBy<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T> {
  const map = new Map<K, T>();
  for (const item of items) if (!map.has(key(item))) map.set(key(item), item);
  return map;
}

function cachedFile<T>(path: string, parse: (text: string) => T): () => T | undefined {
  let stamp = '';
  let value: T | undefined;
  return () => {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
    const current = stat ? `${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}` : '';
    if (current !== stamp) {
      value = stat ? parse(readFileSync(path, 'utf8')) : undefined;
      stamp = current;
    }
    return value;
  };
}
