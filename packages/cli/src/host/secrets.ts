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
 * also if a copy or a restore made them wider.
 */
export async function loadSecrets(dataDir: string): Promise<Secrets> {
  const dir = await openSecrets(dataDir);
  const load = (name: string) => loadSecret(join(dir, name), isSeed, newSeed);
  const [tokenSeed, adminToken, nodeToken] = await Promise.all([
    load('token-seed'),
    load('admin-token'),
    load('node-token'),
  ]);
  return { tokenSeed, adminToken, nodeToken };
}

const SEED = /^[0-9a-f]{64}$/;

/** Whether a text has the form of a seed. */
export function isSeed(text: string): boolean {
  return SEED.test(text);
}

const newSeed = () => randomBytes(32).toString('hex');

/** The directory of secrets, made where it is missing. */
export async function openSecrets(dataDir: string): Promise<string> {
  const dir = join(dataDir, 'secrets');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  return dir;
}

/** A secret's text, or undefined if there is none. */
export async function readSecret(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Reads a secret, or makes it if there is none.
 * @throws Error for one that is not of the right form.
 */
export async function loadSecret(
  path: string,
  isSound: (text: string) => boolean,
  make: () => string,
): Promise<string> {
  const text = await readSecret(path);
  if (text === undefined) return keepSecret(path, make());
  if (!isSound(text)) throw damagedSecret(path);
  await closeSecret(path);
  return text;
}

/** What to say of a secret that cannot be what was written. */
export function damagedSecret(path: string): Error {
  return new Error(
    `${path} is damaged: restore it, or remove it to have a new one made (what the old one was for is void then)`,
  );
}

/** Lets the owner alone read it, also if a copy or a restore made it wider. */
export async function closeSecret(path: string): Promise<void> {
  if ((await stat(path)).mode & 0o077) await chmod(path, 0o600);
}

/** Writes a secret, in place of one that is there. */
export async function keepSecret(path: string, secret: string): Promise<string> {
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${secret}\n`, { mode: 0o600, flush: true });
  await rename(draft, path);
  return secret;
}
