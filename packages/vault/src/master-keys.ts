import { createHash, randomBytes } from 'node:crypto';

/** What everything is encrypted under. */
export interface MasterKey {
  /** Tells keys apart, and nothing of the key. */
  id: string;
  /** 32 bytes. */
  bytes: Buffer;
}

/** The master keys that this process can read. */
export interface MasterKeys {
  /** Looks again if it is not known. */
  find(id: string): Promise<MasterKey | undefined>;
  /** Newest last; at least one. */
  all(): Promise<readonly MasterKey[]>;
}

const LINE = /^[0-9a-f]{64}$/;
/** More than rotations leave behind. */
const MOST_KEYS = 100;

export function masterKey(hex: string): MasterKey {
  const bytes = Buffer.from(hex, 'hex');
  const digest = createHash('sha256').update('id of an islet master key').update(bytes);
  return { id: digest.digest('hex').slice(0, 16), bytes };
}

export function newMasterKey(): MasterKey {
  return masterKey(randomBytes(32).toString('hex'));
}

/** One key a line, 64 hexadecimal digits each, newest last. Undefined if a text is not that. */
export function parseMasterKeys(text: string): MasterKey[] | undefined {
  const lines = text.split('\n').map((line) => line.trim());
  const keys = lines.filter((line) => line !== '');
  const isSound = keys.length > 0 && keys.length <= MOST_KEYS && keys.every((line) => LINE.test(line));
  return isSound ? keys.map(masterKey) : undefined;
}

/** As `parseMasterKeys` reads it. */
export function writeMasterKeys(keys: readonly MasterKey[]): string {
  return keys.map(({ bytes }) => bytes.toString('hex')).join('\n');
}

/** Keys that are known once and for all. */
export function fixedMasterKeys(keys: readonly MasterKey[]): MasterKeys {
  return {
    find: async (id) => keys.find((key) => key.id === id),
    all: async () => keys,
  };
}
