import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Files in PEM. */
export interface Certificates {
  authority: string;
  key: string;
  cert: string;
}

/** An authority that nobody trusts yet, and a certificate of it. @param names as OpenSSL writes them: `DNS:example.org` */
export async function makeCertificates(dir: string, names: readonly string[]): Promise<Certificates> {
  const file = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl(
    ...['req', '-x509', ...newKey, '-keyout', file('ca.key'), '-out', file('ca.pem')],
    ...['-days', '2', '-subj', '/CN=Authority of a test'],
  );
  await openssl(
    ...['req', '-x509', '-CA', file('ca.pem'), '-CAkey', file('ca.key'), ...newKey],
    ...['-keyout', file('site.key'), '-out', file('site.pem'), '-days', '2', '-subj', '/CN=site'],
    ...['-addext', `subjectAltName=${names.join(',')}`, '-addext', 'basicConstraints=critical,CA:FALSE'],
  );
  return { authority: file('ca.pem'), key: file('site.key'), cert: file('site.pem') };
}
