import { canonicalSecretName, invalidSecretsRequest, isSecretId, SECRET_ID_PREFIX } from '@islet/contracts';
import type { SecretSelector } from '@islet/db';

const VALUE_BYTES = 65_536;
const KEY_BYTES = 128;
const ENTRY_BYTES = 1_024;

/** @throws IsletError 400 */
export function parseSecretName(text: string): string {
  const name = canonicalSecretName(text);
  if (name === undefined) throw invalidSecretsRequest();
  return name;
}

/** What begins as ids do is one, and never taken for a name. @throws IsletError 400 */
export function parseSelector(text: string): SecretSelector {
  const id = text.trim().toLowerCase();
  if (!id.startsWith(SECRET_ID_PREFIX)) return { name: parseSecretName(text) };
  if (!isSecretId(id)) throw invalidSecretsRequest();
  return { id };
}

/** @throws IsletError 400 if a value is too long, or holds half a character, which UTF-8 cannot write */
export function parseSecretValue(text: string): string {
  if (Buffer.byteLength(text) > VALUE_BYTES || /\p{Surrogate}/u.test(text)) throw invalidSecretsRequest();
  return text;
}

/** How many bytes they take together says the schema. @throws IsletError 400 */
export function parseSecretMetadata(metadata: Record<string, string>): Record<string, string> {
  for (const [key, value] of Object.entries(metadata)) {
    if (Buffer.byteLength(key) > KEY_BYTES || Buffer.byteLength(value) > ENTRY_BYTES) {
      throw invalidSecretsRequest();
    }
  }
  return metadata;
}
