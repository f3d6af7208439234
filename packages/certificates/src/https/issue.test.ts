import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Certificate } from '../certificate.ts';
import { issueCertificate, makeAuthority, permits } from './issue.ts';

const NOW = new Date();
const DAY_MS = 24 * 60 * 60 * 1000;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-issue-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** What OpenSSL says of a certificate for a name, or for an address, as strictly as Python 3.13 asks. */
async function verify(
  authority: Certificate,
  certificate: Certificate,
  asked: string[],
  at = NOW,
): Promise<string> {
  const files = [join(dir, 'authority.pem'), join(dir, 'certificate.pem')] as const;
  await Promise.all([writeFile(files[0], authority.cert), writeFile(files[1], certificate.cert)]);
  const time = ['-attime', String(Math.floor(at.getTime() / 1000))];
  const purpose = ['-x509_strict', '-purpose', 'sslserver', '-no-CApath', '-CAfile', files[0]];
  const { stdout, stderr } = await promisify(execFile)('openssl', [
    'verify',
    ...purpose,
    ...time,
    ...asked,
    files[1],
  ]).catch((error: { stdout: string; stderr: string }) => error);
  return `${stdout}${stderr}`;
}

describe('a certificate of an authority', () => {
  it.each([
    ['-verify_hostname', '3000-iabc.islet.localhost'],
    ['-verify_hostname', 'islet.localhost'],
    ['-verify_hostname', 'localhost'],
    ['-verify_hostname', '3000-iabc.sandboxes.example.com'],
    ['-verify_ip', '127.0.0.1'],
    ['-verify_ip', '::1'],
  ])('is good for %s %s', async (...asked) => {
    const authority = await makeAuthority('sandboxes.example.com', 'tests', NOW);
    const certificate = await issueCertificate(authority, 'sandboxes.example.com', NOW);
    expect(await verify(authority, certificate, asked)).toContain('certificate.pem: OK');
  });

  it('is good for nothing else, and not for long', async () => {
    const authority = await makeAuthority('islet.localhost', 'tests', NOW);
    const certificate = await issueCertificate(authority, 'islet.localhost', NOW);
    const name = ['-verify_hostname', '1-i.islet.localhost'];
    expect(await verify(authority, certificate, ['-verify_hostname', 'a.example.com'])).toContain(
      'hostname mismatch',
    );
    const later = new Date(NOW.getTime() + 8 * DAY_MS);
    expect(await verify(authority, certificate, name, later)).toContain('certificate has expired');
    const other = await makeAuthority('islet.localhost', 'tests', NOW);
    expect(await verify(other, certificate, name)).toMatch(/unable to get local issuer/);
  });
});

describe('an authority', () => {
  it.each(['example.com', 'islet.example'])(
    'whose key was stolen signs nothing that is believed for %s',
    async (domain) => {
      const authority = await makeAuthority('islet.localhost', 'tests', NOW);
      const forged = await issueCertificate(authority, domain, NOW);
      const said = await verify(authority, forged, ['-verify_hostname', domain]);
      expect(said).toContain('permitted subtree violation');
    },
  );

  it('knows what it was made for', async () => {
    const local = await makeAuthority('islet.localhost', 'tests', NOW);
    expect(await permits(local, 'islet.localhost')).toBe(true);
    expect(await permits(local, 'other.localhost')).toBe(true);
    expect(await permits(local, 'example.com')).toBe(false);
    expect(await permits(await makeAuthority('example.com', 'tests', NOW), 'example.com')).toBe(true);
    expect(await permits(await issueCertificate(local, 'islet.localhost', NOW), 'localhost')).toBe(false);
  });
});
