import { type CheckResult, ok, warning } from '../check.ts';

const ID = 'https';
const TITLE = 'https to sandboxes';

export interface HttpsFacts {
  /** The authority that the installation publishes; undefined if there is none yet. */
  authority: { name: string; pem: string; validTo: string } | undefined;
  /** What programs of this machine trust, PEM. */
  systemRoots: string;
  /** Unix milliseconds. */
  now: number;
}

const SOON_MS = 60 * 24 * 60 * 60 * 1000;

/** Nothing if there is no authority: before the first start, and with a certificate of the operator's. */
export function evaluateHttps({ authority, systemRoots, now }: HttpsFacts): CheckResult[] {
  if (!authority) return [];
  const { name, pem, validTo } = authority;
  if (Date.parse(validTo) - now < SOON_MS) {
    return [
      warning(ID, TITLE, {
        detail: `the authority "${name}" ends at ${validTo}`,
        cause: 'an Islet that runs makes another one 60 days before, which no one trusts yet',
        fix: 'start Islet, then trust the new one: ./islet trust, ./islet trust --system',
      }),
    ];
  }
  const trusted = systemRoots.includes(pem.trim())
    ? 'trusted by the system'
    : 'not trusted by the system (./islet trust --system); SSL_CERT_FILE and ./islet trust do without';
  return [ok(ID, TITLE, `authority "${name}", until ${validTo.slice(0, 10)}, ${trusted}`)];
}
