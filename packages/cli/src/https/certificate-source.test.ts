import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificate, issueCertificate, makeAuthority } from '@islet/certificates';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { certificateFiles } from './certificate-source.ts';
import { keepCertificate } from './keep.ts';

const NOW = new Date();
let dir: string;
let pairs: [Certificate, Certificate];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-certificate-'));
  const authority = await makeAuthority('a.test', 'tests', NOW);
  pairs = [
    await issueCertificate(authority, 'a.test', NOW),
    await issueCertificate(authority, 'a.test', NOW),
  ];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const files = () => [join(dir, 'cert.pem'), join(dir, 'key.pem')] as const;
async function put(cert: Certificate, key = cert): Promise<void> {
  const [certFile, keyFile] = files();
  await Promise.all([writeFile(certFile, cert.cert), writeFile(keyFile, key.key)]);
}

describe('files of the operator', () => {
  it('are read again once both of them are replaced', async () => {
    await put(pairs[0]);
    const source = certificateFiles(...files());
    const first = await source.at(NOW);
    expect(first).toEqual(pairs[0]);
    expect(await source.at(NOW)).toBe(first);
    await put(pairs[1], pairs[0]);
    expect(await source.at(NOW)).toBe(first);
    await put(pairs[1]);
    expect(await source.at(NOW)).toEqual(pairs[1]);
  });

  it('that do not belong together, or are not there, keep it from starting', async () => {
    const source = certificateFiles(...files());
    await expect(source.at(NOW)).rejects.toThrow('ENOENT');
    await put(pairs[0], pairs[1]);
    await expect(source.at(NOW)).rejects.toThrow('does not hold the private key of the certificate');
  });
});

it('is followed by newer ones, and served on while there is none to follow', async () => {
  await put(pairs[0]);
  const [used, said]: [Certificate[], string[]] = [[], []];
  using kept = await keepCertificate({
    source: certificateFiles(...files()),
    use: (certificate) => used.push(certificate),
    clock: Date.now,
    logger: createLogger({
      service: 'test',
      level: 'error',
      destination: { write: (line) => void said.push(line) },
    }),
    lookMs: 5,
  });
  expect(kept.first).toEqual(pairs[0]);
  await rm(files()[0]);
  await expect.poll(() => said.join()).toContain('could not be renewed');
  expect(used).toEqual([]);
  await put(pairs[1]);
  await expect.poll(() => used).toEqual([pairs[1]]);
});
