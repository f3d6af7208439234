import { randomInt } from 'node:crypto';
import { invalidSandboxId } from './errors/sandboxes.ts';

/** Deprecated on the wire, yet a required field of every sandbox answer. */
export const CLIENT_ID = '6532622b';

/** The envd protocol version that sandboxes report; SDKs gate features on it. */
export const ENVD_VERSION = '0.6.13';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

function randomText(length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) text += ALPHABET[randomInt(ALPHABET.length)];
  return text;
}

/** `i` and 20 characters of `[a-z0-9]`. */
export function newSandboxId(): string {
  return `i${randomText(20)}`;
}

/** 20 characters of `[a-z0-9]`. */
export function newTemplateId(): string {
  return randomText(20);
}

const SANDBOX_ID = /^[a-z0-9]+$/;

/** True for text that may be a sandbox id; says nothing about whether such a sandbox exists. */
export function isSandboxId(text: string): boolean {
  return text.length <= 64 && SANDBOX_ID.test(text);
}

/**
 * Takes a sandbox id as clients send it: bare, or the legacy `<sandboxID>-<clientID>`.
 * @throws IsletError 400 if it is neither.
 */
export function parseSandboxId(text: string): string {
  const parts = text.split('-');
  const [id, client] = parts;
  if (parts.length > 2 || !id || !isSandboxId(id)) throw invalidSandboxId();
  if (client !== undefined && !isSandboxId(client)) throw invalidSandboxId();
  return id;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}
