import { Type } from 'typebox';

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** Longest request body in bytes if a route sets no other: ids, names and a hundred tags. */
export const BODY_BYTES = 64 * KIB;
/** A sandbox's request with all that it may say. */
export const CREATE_BODY_BYTES = 512 * KIB;
/** Two lists of a thousand addresses. */
export const NETWORK_BODY_BYTES = 128 * KIB;
/** A template's recipe: a command is at most 128 KiB, the longest that Linux passes to a program. */
export const RECIPE_BODY_BYTES = 2 * MIB;

/**
 * Values in one JSON body: members and elements, each nested one too. Parsing is on the thread that answers
 * everybody, and takes as long as there are values rather than bytes: 10,000 take some 3 ms.
 */
export const JSON_VALUES = 10_000;
/** A recipe of as many steps as there may be. */
export const RECIPE_JSON_VALUES = 20_000;
/** Arrays and objects within one another. */
export const JSON_DEPTH = 32;

/** Longest line and headers of a request, in bytes: Node's own limit, and with it that of every query. */
export const HEAD_BYTES = 16 * KIB;
/** Longest part of a path, in characters: the longest template reference with every character escaped. */
export const PARAM_LENGTH = 1024;

/** Rows of one answer end where their JSON passes this; a single row may be longer. */
export const PAGE_BYTES = MIB;

/**
 * Ids and names in queries and bodies, in characters. What one of them means has a shorter limit with a message of
 * its own.
 */
export const NAME_LENGTH = 512;

/** An id or a name. */
export const named = (options: Parameters<typeof Type.String>[0] = {}) =>
  Type.String({ maxLength: NAME_LENGTH, ...options });

export interface TextMapCaps {
  entries: number;
  /** In characters. */
  keyLength: number;
  /** In characters. */
  valueLength: number;
  /** UTF-8 of all keys and values together. */
  bytes: number;
}

/** Text by text, as metadata and variables are given. */
export const cappedTextMap = ({ entries, keyLength, valueLength, bytes }: TextMapCaps) =>
  Type.Record(Type.String(), Type.String({ maxLength: valueLength }), {
    maxProperties: entries,
    propertyNames: { type: 'string', maxLength: keyLength },
    [TEXT_BYTES]: bytes,
  });

/** Keyword of a schema: most bytes that an object's keys and texts take together. */
export const TEXT_BYTES = 'x-maxTextBytes';
