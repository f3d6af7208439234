import { expect, it } from 'vitest';
import { parseDebianReference } from './reference.ts';

it('knows its own names, with and without a version and packages', () => {
  const bare = { suite: 'trixie', packages: [] };
  for (const name of ['islet/debian', 'islet/debian:13', 'islet/debian:trixie', 'islet/debian:latest']) {
    expect(parseDebianReference(name)).toEqual(bare);
  }
  expect(parseDebianReference('islet/debian:13?packages=g++,libssl3t64')).toEqual({
    suite: 'trixie',
    packages: ['g++', 'libssl3t64'],
  });
});

it.each(['debian:13', 'docker.io/islet/debian:13', 'islet/debian2', 'islet/debian@sha256:0', 'e2bdev/base'])(
  'leaves %s to registries',
  (reference) => {
    expect(parseDebianReference(reference)).toBeUndefined();
  },
);

it.each([
  ['islet/debian:7', /islet\/debian:7 is not made here/],
  ['islet/debian:constructor', /is not made here/],
  ['islet/debian:13?packages=', /wrong behind the '\?'/],
  ['islet/debian:13?packages=curl; rm', /wrong behind the '\?'/],
  ['islet/debian:13?packages=-y', /wrong behind the '\?'/],
  ['islet/debian:13?include=curl', /packages=<name>,<name>/],
])('says what is wrong with %s', (reference, message) => {
  expect(() => parseDebianReference(reference)).toThrow(message);
});
