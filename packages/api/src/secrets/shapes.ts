import { Type } from 'typebox';
import { cappedTextMap, KIB, named } from '../http/caps.ts';

const Metadata = cappedTextMap({ entries: 32, keyLength: 128, valueLength: KIB, bytes: 8 * KIB });
const dateTime = () => Type.String({ format: 'date-time' });

export const SecretShape = Type.Object({
  secretID: Type.String({ description: '`sec_` and 26 characters' }),
  name: Type.String({ description: 'Without white space around it and in lower case' }),
  currentVersion: Type.Integer({ format: 'int64' }),
  metadata: Metadata,
  createdAt: dateTime(),
  updatedAt: dateTime(),
});

const value = Type.String({
  minLength: 1,
  maxLength: 65_536,
  description: 'Kept byte for byte, and told to nobody; 65,536 bytes at the most',
});

export const NewSecretShape = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 128, pattern: '^[a-zA-Z0-9_-]+$' }),
  value,
  metadata: Type.Optional(Metadata),
});

export const SecretVersionShape = Type.Object({
  value,
  metadata: Type.Optional(Metadata),
});

export const SecretParams = Type.Object({ selector: named({ description: 'An id, or a name' }) });
