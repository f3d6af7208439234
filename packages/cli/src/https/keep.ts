import type { Certificate } from '@islet/certificates';
import type { Logger } from '@islet/telemetry';
import type { CertificateSource } from './certificate-source.ts';

/** How often is looked for a newer certificate: what an operator replaces is served soon. */
const LOOK_MS = 60_000;

export interface KeepOptions {
  source: CertificateSource;
  /** Called with each certificate but the first. */
  use: (certificate: Certificate) => void;
  /** Unix milliseconds. */
  clock: () => number;
  logger: Logger;
  /** ms. */
  lookMs?: number;
}

/** A certificate that is followed by newer ones, until it is disposed of. */
export interface KeptCertificate extends Disposable {
  first: Certificate;
}

/** @throws Error if there is no certificate to begin with. Later the last one is served on, and the log says why. */
export async function keepCertificate(options: KeepOptions): Promise<KeptCertificate> {
  const { source, use, clock, logger, lookMs = LOOK_MS } = options;
  const first = await source.at(new Date(clock()));
  let served = first;
  let looking = false;
  const look = async () => {
    const newest = await source.at(new Date(clock()));
    if (newest === served) return;
    served = newest;
    use(newest);
    logger.info('a newer certificate is in use');
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look()
      .catch((error: unknown) => logger.error({ err: error }, 'the certificate could not be renewed'))
      .finally(() => {
        looking = false;
      });
  }, lookMs).unref();
  return { first, [Symbol.dispose]: () => clearInterval(timer) };
}
