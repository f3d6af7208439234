import type { Certificate } from '@islet/certificates';
import { closeSecret, damagedSecret, keepSecret, readSecret } from '../host/secrets.ts';
import { isPair } from './certificate-source.ts';

/** @throws Error for one that is damaged: whoever trusted it would have to trust another. */
export async function readAuthority(path: string): Promise<Certificate | undefined> {
  const text = await readSecret(path);
  if (text === undefined) return undefined;
  const pair = pairIn(text);
  if (!pair || !isPair(pair)) throw damagedSecret(path);
  await closeSecret(path);
  return pair;
}

/** Undefined if there is none, or what is there is none. */
export async function readPair(path: string): Promise<Certificate | undefined> {
  const text = await readSecret(path);
  return text === undefined ? undefined : pairIn(text);
}

/** In one file, since two cannot be replaced at once. */
export async function keepPair(path: string, { cert, key }: Certificate): Promise<void> {
  await keepSecret(path, `${key.trim()}\n${cert.trim()}`);
}

function pairIn(text: string): Certificate | undefined {
  const [key] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text) ?? [];
  const [cert] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text) ?? [];
  return key && cert ? { key: `${key}\n`, cert: `${cert}\n` } : undefined;
}
