import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../doctor/run.ts';
import { TrustError, type TrustStore } from './store.ts';

/** Chromium, Chrome, Edge and Brave share one. */
const CHROMIUM = '.pki/nssdb';
/** Where Firefox keeps a folder for each profile, as Debian and as a snap packages it. */
const FIREFOX = ['.mozilla/firefox', 'snap/firefox/common/.mozilla/firefox'];
const DATABASE = 'cert9.db';

/** What the browsers of one user trust: databases of NSS. That of Chromium is made if it is not there yet. */
export async function browserStores(home: string, run: Run): Promise<TrustStore[]> {
  const chromium = join(home, CHROMIUM);
  const profiles = await Promise.all(FIREFOX.map((folder) => profilesIn(join(home, folder))));
  return [nssStore(chromium, run), ...profiles.flat().map((path) => nssStore(path, run))];
}

async function profilesIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const profile = join(folder, entry.name);
    if (entry.isDirectory() && (await hasDatabase(profile))) found.push(profile);
  }
  return found;
}

async function hasDatabase(folder: string): Promise<boolean> {
  return (await readdir(folder).catch(() => [] as string[])).includes(DATABASE);
}

function nssStore(path: string, run: Run): TrustStore {
  const certutil = async (...args: string[]) => {
    const { code, stdout, stderr } = await run('certutil', [...args, '-d', `sql:${path}`]);
    if (code !== null) return { ok: code === 0, stdout, stderr: stderr.trim() };
    throw new TrustError(
      `certutil does not run (${stderr.trim()}): it changes what browsers trust. Install it with: ` +
        'apt-get install libnss3-tools',
    );
  };
  const nickname = (instance: string) => `islet-${instance}`;
  const remove = async (instance: string) => {
    let removed = false;
    // Each call takes one of those that bear the name.
    while ((await certutil('-D', '-n', nickname(instance))).ok) removed = true;
    return removed;
  };
  return {
    kind: 'browser',
    path,
    async add({ instance, authorityFile }) {
      if (!(await hasDatabase(path))) {
        await mkdir(path, { recursive: true, mode: 0o700 });
        await certutil('-N', '--empty-password');
      }
      await remove(instance);
      // Trusted to sign for servers, and for nothing else.
      const added = await certutil('-A', '-n', nickname(instance), '-t', 'C,,', '-i', authorityFile);
      if (!added.ok) throw new TrustError(`certutil could not change ${path}: ${added.stderr}`);
    },
    async remove(instance) {
      return (await hasDatabase(path)) && remove(instance);
    },
  };
}
