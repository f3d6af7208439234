import {
  referenceTooLong,
  unreadableReference,
  wrongReferenceCharacters,
  wrongTagCharacters,
} from '@islet/contracts';
import { DEFAULT_TAG } from '@islet/db';

/** `[namespace/]alias[:tag]`, where the alias may be a raw id. */
export interface TemplateReference {
  namespace?: string;
  name: string;
  /** Absent if the reference names none, or the default one. */
  tag?: string;
}

const NAME = /^[a-z0-9_-]+$/;
const TAG = /^[a-z0-9._-]+$/;
/** Longest reference, in characters. */
const MAX_LENGTH = 256;
const MAX_TAG_LENGTH = 128;

/**
 * Reads a template reference as clients write it; case and spaces around it do not count.
 * @throws IsletError 400, its message beginning with `prefix`
 */
export function parseTemplateReference(text: string, prefix = 'Invalid template'): TemplateReference {
  if (text.length > MAX_LENGTH) throw referenceTooLong(prefix, MAX_LENGTH);
  const [path = '', tag, ...more] = text.trim().toLowerCase().split(':');
  const segments = path.split('/');
  const name = segments.pop() ?? '';
  const namespace = segments.pop();
  if (more.length > 0 || segments.length > 0) throw unreadableReference(prefix, text);
  if (!NAME.test(name) || (namespace !== undefined && !NAME.test(namespace))) {
    throw wrongReferenceCharacters(prefix, text);
  }
  if (tag !== undefined) parseTag(tag, prefix);
  return {
    ...(namespace !== undefined && { namespace }),
    name,
    ...(tag !== undefined && tag !== DEFAULT_TAG && { tag }),
  };
}

/**
 * Reads a tag as clients write it; case and spaces around it do not count.
 * @throws IsletError 400, its message beginning with `prefix`
 */
export function parseTag(text: string, prefix = 'Invalid tag'): string {
  const tag = text.trim().toLowerCase();
  if (!TAG.test(tag) || tag.length > MAX_TAG_LENGTH) {
    throw wrongTagCharacters(prefix, tag, MAX_TAG_LENGTH);
  }
  return tag;
}
