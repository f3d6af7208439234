import { isIP } from 'node:net';

const MOST_CHARACTERS = 253;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * A host's name as rules are compared with it: lower-case, without the dot of the root.
 * @returns undefined if it is none: an address, or what no DNS name looks like
 */
export function normalName(text: string): string | undefined {
  const name = text.toLowerCase().replace(/\.$/, '');
  if (name.length === 0 || name.length > MOST_CHARACTERS || isIP(name) !== 0) return undefined;
  const labels = name.split('.');
  // Programs that take 1.2 or 0x7f.1 for an address end in such a label; no name of the DNS does.
  const last = labels.at(-1) as string;
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(last)) return undefined;
  return labels.every((label) => LABEL.test(label)) ? name : undefined;
}
