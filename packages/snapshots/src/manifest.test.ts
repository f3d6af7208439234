import { describe, expect, it } from 'vitest';
import { incompatibility } from './incompatibility.ts';
import { parseManifest } from './manifest.ts';

const needs = {
  runtime: { name: 'gvisor', digest: 'r1' },
  guest: 'g',
  rootfs: 'f',
  processor: { architecture: 'amd64', features: ['avx2', 'sha_ni'] },
};
const host = {
  runtime: { name: 'gvisor', digest: 'r1' },
  processor: { architecture: 'amd64', features: ['avx2', 'avx512f', 'sha_ni'] },
};

describe('a saved state', () => {
  it('fits a machine that is equal, and one whose processor has more', () => {
    expect(incompatibility(needs, host)).toBeUndefined();
    expect(incompatibility({ ...needs, processor: undefined }, host)).toBeUndefined();
  });

  it.each([
    [{ runtime: { name: 'microvm', digest: 'r1' } }, /made with the gvisor driver.*runs microvm/],
    [{ runtime: { name: 'gvisor', digest: 'r2' } }, /another build of the sandbox runtime/],
    [{ processor: { architecture: 'arm64', features: [] } }, /made on amd64 and this node is arm64/],
    [{ processor: { architecture: 'amd64', features: ['avx2'] } }, /processor of this node lacks: sha_ni/],
  ])('does not fit a machine with %j', (other, why) => {
    expect(incompatibility(needs, { ...host, ...other })).toMatch(why);
  });
});

describe('a manifest', () => {
  const manifest = {
    ...{ version: 3, subject: { kind: 'build', buildId: 'b' }, createdAt: '2026-01-01T00:00:00.000Z', needs },
    files: { memory: { bytes: 3, crc32: 7 } },
  };
  it('is read if it is one', () => {
    expect(parseManifest(JSON.stringify(manifest))).toEqual(manifest);
  });
  it.each([
    ['of another version', { ...manifest, version: 2 }],
    ['without what it needs', { ...manifest, needs: {} }],
    ['of a subject that there is not', { ...manifest, subject: { kind: 'volume' } }],
    ['with files out of its folder', { ...manifest, files: { '../memory': { bytes: 3, crc32: 7 } } }],
    ['without sums', { ...manifest, files: { memory: {} } }],
    ['of nothing', null],
  ])('%s is none', (_, value) => {
    expect(parseManifest(JSON.stringify(value))).toBeUndefined();
  });
  it('cut short is none', () => {
    expect(parseManifest(JSON.stringify(manifest).slice(0, -1))).toBeUndefined();
  });
});
