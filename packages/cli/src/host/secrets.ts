import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What an instance must keep to itself. */
export interface Secrets {
  /** Sandboxes' tokens are derived from it: a new one makes the tokens of all of them worthless. */
  tokenSeed: string;
  /** Value of X-Admin-Token. */
  adminToken: string;
  /** What the node's own services ask their callers for. */
  nodeToken: string;
}

/**
 * Reads the secrets of a data directory, and makes those that are not there yet. They are readable by their owner alone,
 * also where a copy or a restore made them wider.
 */
export async function loadSecrets(dataDir: string): Promise<Secrets> {
  const dir = join(dataDir, 'secrets');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  const [tokenSeed, adminToken, nodeToken] = await Promise.all([
    loadSecret(join(dir, 'token-seed')),
    loadSecret(join(dir, 'admin-token')),
    loadSecret(join(dir, 'node-token')),
  ]);
  return { tokenSeed, adminToken, nodeToken };
}

const SECRET = /^[0-9a-f]{64}$/;

async function loadSecret(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return makeSecret(path);
  if (!SECRET.test(text.trim())) {
    throw new Error(
      `${path} is damaged: restore it, or remove it to have a new one made (which voids all tokens)`,
    );
  }
  if ((await stat(path)).mode & 0o077) await chmod(path, 0o600);
  return text.trim();
}

async function makeSecret(path: string): Promise<string> {
  const secret = randomBytes(32).toString('hex');
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${secret}\n`, { mode: 0o600, flush: true });
  await rename(draft, path);
  return secret;
}
