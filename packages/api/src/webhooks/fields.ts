import { isIP } from 'node:net';
import { invalidWebhook } from '@islet/contracts';
import type { Destinations } from '@islet/webhooks';
import { EVENT_NAMES } from './shapes.ts';

const NAME_LENGTH = 128;

/** @throws IsletError 400 */
export function parseName(text: string): string {
  const name = text.trim();
  if (name.length >= 1 && name.length <= NAME_LENGTH) return name;
  throw invalidWebhook('name', `must have 1 to ${NAME_LENGTH} characters`);
}

/**
 * An address as it will be requested.
 * @throws IsletError 400 also if it names an address that webhooks may not reach; a name is looked up when something is sent
 */
export function parseUrl(text: string, destinations: Pick<Destinations, 'allows'>): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw invalidWebhook('url', 'must be an http or https address');
  if (url.username !== '' || url.password !== '') {
    throw invalidWebhook('url', 'must hold no credentials: the signature says who sends');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !destinations.allows(host)) {
    throw invalidWebhook(
      'url',
      `names ${host}, which webhooks may not reach; the operator can allow it with --webhook-allow`,
    );
  }
  return text;
}

/** @throws IsletError 400 */
export function parseEvents(names: readonly string[]): string[] {
  if (names.length === 0)
    throw invalidWebhook('events', `must name at least one of ${EVENT_NAMES.join(', ')}`);
  const unknown = names.find((name) => !EVENT_NAMES.includes(name));
  if (unknown !== undefined) {
    throw invalidWebhook('events', `must be of ${EVENT_NAMES.join(', ')}, which "${unknown}" is not`);
  }
  if (new Set(names).size < names.length) throw invalidWebhook('events', 'must name each type once');
  return [...names];
}
