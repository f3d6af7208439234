import { generateKeyPair, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { promisify } from 'node:util';
import type { Credentials } from '../credentials.ts';

interface Leaf {
  context: SecureContext;
  renewAtMs: number;
}

/** Domains whose certificates are at hand. */
const MOST = 1_000;
/** A certificate is replaced when so much of its life is left. */
const LEFT = 1 / 2;

/** What the gateway answers TLS of domains with. The keys are made here, and stay here. */
export class Leaves {
  readonly #byDomain = new Map<string, Promise<Leaf>>();
  readonly #now: () => number;

  /** @param now Unix milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws Error if nobody certifies the domain */
  async get(credentials: Pick<Credentials, 'certificate'>, domain: string): Promise<SecureContext> {
    const known = await this.#byDomain.get(domain)?.catch(() => undefined);
    if (known && this.#now() < known.renewAtMs) return known.context;
    const making = make(credentials, domain, this.#now());
    this.#byDomain.delete(domain);
    this.#byDomain.set(domain, making);
    making.catch(() => {
      if (this.#byDomain.get(domain) === making) this.#byDomain.delete(domain);
    });
    const [oldest] = this.#byDomain.keys();
    if (this.#byDomain.size > MOST && oldest !== undefined) this.#byDomain.delete(oldest);
    return (await making).context;
  }
}

async function make(
  credentials: Pick<Credentials, 'certificate'>,
  domain: string,
  nowMs: number,
): Promise<Leaf> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const cert = await credentials.certificate(
    domain,
    publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  );
  if (cert === undefined) throw new Error('no certificate is given for the domain of a rule');
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const endsAtMs = Date.parse(new X509Certificate(cert).validTo);
  return {
    context: createSecureContext({ cert, key, minVersion: 'TLSv1.2' }),
    renewAtMs: endsAtMs - (endsAtMs - nowMs) * LEFT,
  };
}
