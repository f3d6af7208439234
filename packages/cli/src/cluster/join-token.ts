import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const PREFIX = 'islet-join-';
const MOST_CHARACTERS = 2_048;

const Content = Type.Object(
  {
    role: Type.Union([Type.Literal('api'), Type.Literal('edge'), Type.Literal('node')]),
    /** Where the API answers: `host:port`. */
    api: Type.String({ pattern: '^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}$', maxLength: 300 }),
    /** Fingerprint of the cluster's authority. */
    authority: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** Works once. */
    secret: Type.String({ pattern: '^[A-Za-z0-9_-]{20,100}$' }),
  },
  { additionalProperties: false },
);

/** What lets a machine join a cluster. */
export type JoinToken = Static<typeof Content>;

/** One word, which says all that `islet join` has to know. */
export function writeJoinToken(token: JoinToken): string {
  return PREFIX + Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** @throws RangeError with what is wrong, as the end of a sentence; it does not repeat the token */
export function readJoinToken(text: string): JoinToken {
  const word = text.trim();
  if (!word.startsWith(PREFIX))
    throw new RangeError(`begins with ${PREFIX}: take it as \`islet token create\` printed it`);
  try {
    if (word.length > MOST_CHARACTERS) throw new RangeError('it is too long');
    const read: unknown = JSON.parse(Buffer.from(word.slice(PREFIX.length), 'base64url').toString());
    if (Value.Check(Content, read) && URL.canParse(`https://${read.api}/`)) return read;
  } catch (cause) {
    throw new RangeError('is damaged: take all of what `islet token create` printed', { cause });
  }
  throw new RangeError('is damaged: take all of what `islet token create` printed');
}
