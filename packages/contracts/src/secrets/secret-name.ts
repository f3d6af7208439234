import { SECRET_ID_PREFIX } from './secret-id.ts';

const NAME_BYTES = 128;
const NAME = /^[A-Za-z0-9_-]+$/;

/** The one spelling of a secret's name: without white space around it and in lower case. Undefined if the text is no name. */
export function canonicalSecretName(text: string): string | undefined {
  const name = text.trim();
  if (name.length > NAME_BYTES || !NAME.test(name)) return undefined;
  const lower = name.toLowerCase();
  return lower.startsWith(SECRET_ID_PREFIX) ? undefined : lower;
}
