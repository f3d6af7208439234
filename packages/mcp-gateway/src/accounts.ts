import { readFile } from 'node:fs/promises';

/** Whom a program runs as. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/** The account of that name in `/etc/passwd`, undefined if there is none. */
export async function findAccount(name: string): Promise<Account | undefined> {
  for (const line of (await readFile('/etc/passwd', 'utf8')).split('\n')) {
    const [found, , uid, gid, , home] = line.split(':');
    if (found === name && home) return { name, uid: Number(uid), gid: Number(gid), home };
  }
  return undefined;
}
