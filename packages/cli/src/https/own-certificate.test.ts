import { X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificate, LOCAL_DOMAIN } from '@islet/certificates';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ownCertificate } from './own-certificate.ts';

const NOW = new Date('2026-01-01T12:00:00Z');
const after = (days: number) => new Date(NOW.getTime() + days * 24 * 60 * 60 * 1000);
let dataDir: string;
beforeEach(async () => {
  replaced = 0;
  dataDir = await mkdtemp(join(tmpdir(), 'islet-own-certificate-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

let replaced: number;
const open = (domain = LOCAL_DOMAIN) => {
  const onReplaced = () => {
    replaced++;
  };
  return ownCertificate({ dataDir, domain, holder: 'tests', onReplaced });
};
const secret = (name: string) => join(dataDir, 'secrets', name);
const isSignedBy = ({ cert }: Certificate, authority: string) =>
  new X509Certificate(cert).verify(new X509Certificate(authority).publicKey);

it('is the same for half of its life, also after a restart; then another by the same authority follows', async () => {
  const own = open();
  const first = await own.at(NOW);
  const authority = own.authority();
  expect(isSignedBy(first, authority)).toBe(true);
  expect(await own.at(after(3))).toBe(first);
  const again = open();
  expect(await again.at(after(3))).toEqual(first);
  const second = await again.at(after(4));
  expect(second.cert).not.toBe(first.cert);
  expect(second.key).not.toBe(first.key);
  expect(isSignedBy(second, authority)).toBe(true);
  expect(again.authority()).toBe(authority);
  // A clock that was set back by more than the hour that certificates are backdated.
  expect(await again.at(NOW)).not.toBe(second);
  expect(again.authority()).toBe(authority);
  expect(replaced).toBe(0);
});

it('keeps its keys to its owner, also if a copy made them wider', async () => {
  await open().at(NOW);
  expect((await readdir(join(dataDir, 'secrets'))).sort()).toEqual(['authority', 'certificate']);
  const mode = async (name: string) => (await stat(secret(name))).mode & 0o777;
  expect([await mode('authority'), await mode('certificate')]).toEqual([0o600, 0o600]);
  await chmod(secret('authority'), 0o644);
  await open().at(NOW);
  expect(await mode('authority')).toBe(0o600);
});

it('has another authority for a domain that the old one may not sign for, and before the old one ends', async () => {
  const local = open();
  await local.at(NOW);
  const named = open('sandboxes.example.com');
  const certificate = await named.at(NOW);
  expect(named.authority()).not.toBe(local.authority());
  expect(isSignedBy(certificate, named.authority())).toBe(true);
  const late = open('sandboxes.example.com');
  await late.at(after(3600));
  expect(late.authority()).not.toBe(named.authority());
  expect(replaced).toBe(2);
});

it('makes a damaged certificate anew, and refuses a damaged authority', async () => {
  const first = open();
  await first.at(NOW);
  await writeFile(secret('certificate'), 'broken');
  const second = open();
  expect(isSignedBy(await second.at(NOW), first.authority())).toBe(true);
  const text = await readFile(secret('authority'), 'utf8');
  await writeFile(secret('authority'), text.slice(0, -100));
  await expect(open().at(NOW)).rejects.toThrow(`${secret('authority')} is damaged: restore it, or remove it`);
});
