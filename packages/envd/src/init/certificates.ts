import type { IdentityFiles } from './identity.ts';

const BEGIN = '# BEGIN sandbox certificates';
const END = '# END sandbox certificates';

/** Where the common distributions keep the bundle that programs trust. */
const BUNDLES = [
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

/** Makes the image's programs trust more authorities. */
export function trustCertificates(files: IdentityFiles, pem: string): void {
  files.write('/usr/local/share/ca-certificates/sandbox.crt', `${pem.trim()}\n`);
  for (const path of BUNDLES) {
    const current = files.read(path);
    if (current !== '') files.write(path, bundleWith(current, pem));
  }
}
