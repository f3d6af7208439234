import type { IdentityFiles } from './identity.ts';

const BEGIN = '# BEGIN sandbox certificates';
const END = '# END sandbox certificates';

/** Where the common distributions keep the bundle that programs trust. */
const BUNDLES: readonly [string, ...string[]] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
];

/** A bundle in which exactly `pem` is envd's block. */
export function bundleWith(current: string, pem: string): string {
  const start = current.indexOf(BEGIN);
  const end = current.indexOf(END);
  const rest =
    start === -1 || end === -1 ? current : current.slice(0, start) + current.slice(end + END.length + 1);
  const separator = rest === '' || rest.endsWith('\n') ? '' : '\n';
  return `${rest}${separator}${BEGIN}\n${pem.trim()}\n${END}\n`;
}

/** The authorities alone that envd was told; Debian's `update-ca-certificates` takes them into what it writes. */
const ADDED = '/usr/local/share/ca-certificates/sandbox.crt';

/**
 * Makes the image's programs trust more authorities.
 * @returns variables for those that do not look into the system's bundle by themselves
 */
export function trustCertificates(files: IdentityFiles, pem: string): Record<string, string> {
  files.write(ADDED, `${pem.trim()}\n`);
  const there = BUNDLES.filter((path) => files.read(path) !== '');
  // An image that trusts nobody trusts these.
  const [bundle = BUNDLES[0]] = there;
  for (const path of new Set([...there, bundle])) files.write(path, bundleWith(files.read(path), pem));
  return {
    // OpenSSL, Python and Go; Python's requests and pip; curl of other builds; git. Node.js adds to what it brings.
    ...{ SSL_CERT_FILE: bundle, REQUESTS_CA_BUNDLE: bundle, CURL_CA_BUNDLE: bundle, GIT_SSL_CAINFO: bundle },
    NODE_EXTRA_CA_CERTS: ADDED,
  };
}
