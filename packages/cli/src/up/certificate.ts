import { hostname } from 'node:os';
import type { Certificate } from '@islet/certificates';
import type { Logger } from '@islet/telemetry';
import type { Instance } from '../host/instance.ts';
import { openPublicFolder } from '../host/public-folder.ts';
import { type CertificateSource, certificateFiles } from '../https/certificate-source.ts';
import { type KeptCertificate, keepCertificate } from '../https/keep.ts';
import { ownCertificate } from '../https/own-certificate.ts';
import { PUBLIC_FOLDER, publish, readSystemRoots, type TrustFiles, trustFiles } from '../https/published.ts';
import { domainOf, type UpConfig } from './config.ts';

export interface CertificateOptions {
  config: Pick<UpConfig, 'domain' | 'tls'>;
  instance: Instance;
  /** Called with each certificate but the first. */
  use: (certificate: Certificate) => void;
  /** Unix milliseconds. */
  clock: () => number;
  logger: Logger;
}

export interface OpenedCertificate {
  certificate: KeptCertificate;
  /** Null if the certificate is the operator's. */
  trust: TrustFiles | null;
}

/** The edge's certificate, and the files by which others trust it, all of them kept as they must be. */
export async function openCertificate(options: CertificateOptions): Promise<OpenedCertificate> {
  const { config, instance, ...keeping } = options;
  if (config.tls) {
    const source = certificateFiles(config.tls.certFile, config.tls.keyFile);
    return { certificate: await keepCertificate({ source, ...keeping }), trust: null };
  }
  const files = trustFiles(await openPublicFolder(instance.dataDir, PUBLIC_FOLDER));
  const own = ownCertificate({
    dataDir: instance.dataDir,
    domain: domainOf(config),
    holder: hostname(),
    onReplaced: () =>
      options.logger.warn('the authority for https is a new one: trust it as the old one, with islet trust'),
  });
  const source: CertificateSource = {
    async at(now) {
      const certificate = await own.at(now);
      // The system's roots change, too.
      await publish(files, own.authority(), await readSystemRoots());
      return certificate;
    },
  };
  return { certificate: await keepCertificate({ source, ...keeping }), trust: files };
}
