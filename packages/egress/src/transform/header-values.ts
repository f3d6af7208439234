import { type HeaderPart, parseHeaderValue } from '@islet/contracts';
import type { Credentials } from '../credentials.ts';
import type { GatedSandbox, TransformRule } from '../policy.ts';

/** A header that a rule puts on requests. */
export interface RuleHeader {
  /** As the rule writes it. */
  name: string;
  parts: readonly HeaderPart[];
}

/** One that is ready to be sent. */
export interface FilledHeader {
  name: string;
  /** Bytes, a character each, as Node writes headers. */
  value: string;
}

/** A secret that was put into a request, without its value. */
export interface UsedSecret {
  name: string;
  version: number;
}

/** What a rule names cannot be had, or is no value of a header. Says nothing of it. */
export class FillError extends Error {
  override readonly name = 'FillError';
}

/** What describes the connection or the body is not a rule's to say. */
const IGNORED = new Set([
  ...['connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'keep-alive'],
  ...['proxy-connection', 'http2-settings', 'expect', 'host'],
]);
const VALUE_BYTES = 16 * 1024;
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what a header's value may not hold
const BAD_VALUE = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** The headers of a rule, of which the last one of a name counts. @throws FillError */
export function readRuleHeaders({ headers }: TransformRule): RuleHeader[] {
  const byName = new Map<string, RuleHeader>();
  for (const [name, value] of Object.entries(headers)) {
    const key = name.toLowerCase();
    if (IGNORED.has(key)) continue;
    try {
      byName.set(key, { name, parts: parseHeaderValue(value) });
    } catch (cause) {
      throw new FillError('a header of the rule is malformed', { cause });
    }
  }
  return [...byName.values()];
}

/** Whether any of them is not known beforehand. */
export function areFixed(headers: readonly RuleHeader[]): boolean {
  return headers.every(({ parts }) => parts.every(({ kind }) => kind === 'text'));
}

/**
 * Fills each placeholder once. What was filled in is not looked at again.
 * @throws FillError if anything is missing: no request goes without it
 */
export async function fillHeaders(
  headers: readonly RuleHeader[],
  sandbox: GatedSandbox,
  credentials: Pick<Credentials, 'secret' | 'token'>,
): Promise<{ headers: FilledHeader[]; secrets: UsedSecret[] }> {
  const secrets = new Map<string, UsedSecret>();
  const textOf = async (part: HeaderPart): Promise<string> => {
    switch (part.kind) {
      case 'text':
        return part.text;
      case 'secret': {
        const { value, version } = await need(credentials.secret(sandbox.teamId, part.name));
        secrets.set(part.name, { name: part.name, version });
        return value;
      }
      case 'token': {
        const isRegistered = sandbox.workloadTokens.some(({ name }) => name === part.name);
        return isRegistered ? need(credentials.token(sandbox, part.name)) : part.written;
      }
    }
  };
  const filled = await Promise.all(
    headers.map(async ({ name, parts }) => {
      const texts = await Promise.all(parts.map(textOf));
      return { name, value: headerValue(texts.join('')) };
    }),
  );
  return { headers: filled, secrets: [...secrets.values()] };
}

async function need<T>(asked: Promise<T | undefined>): Promise<T> {
  const found = await asked.catch((cause: unknown) => {
    throw new FillError('a credential of the rule cannot be had', { cause });
  });
  if (found === undefined) throw new FillError('a credential of the rule is not there');
  return found;
}

/** As it is written: UTF-8, without blanks around it. @throws FillError if it would end the header, or is too long */
function headerValue(text: string): string {
  if (BAD_VALUE.test(text)) throw new FillError('a header would hold control characters');
  const bytes = Buffer.from(text.replace(/^[\t ]+|[\t ]+$/g, ''), 'utf8');
  if (bytes.length > VALUE_BYTES) throw new FillError('a header would be too long');
  return bytes.toString('latin1');
}
