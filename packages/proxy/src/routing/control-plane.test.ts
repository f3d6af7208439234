import fc from 'fast-check';
import { expect, it } from 'vitest';
import { reservedPath } from './control-plane.ts';

const RESERVED = ['/init', '/freeze', '/unfreeze', '/collapse', '/fsfreeze', '/fsthaw', '/upgrade'];

it.each(RESERVED)('refuses %s in every spelling', (path) => {
  const escaped = `/${[...path.slice(1)].map((char) => `%${char.charCodeAt(0).toString(16)}`).join('')}`;
  for (const spelling of [
    path,
    `${path}?a=b`,
    `${path}/`,
    `/${path}`,
    `/.${path}`,
    `/x/..${path}`,
    `/x/%2e%2E${path}`,
    `/x/..%2f${path.slice(1)}`,
    path.toUpperCase(),
    escaped,
    escaped.replaceAll('%', '%25'),
    `\\${path.slice(1)}`,
    `/../..${path}/.`,
    `${path}%3fx`,
    `${path}#x`,
  ]) {
    expect(reservedPath(spelling), spelling).toBe(path);
  }
});

it.each([
  '/',
  '/health',
  '/files?path=/init',
  '/init2',
  '/init/x',
  '/x/init',
  '/initialize',
  '*',
  '/%zz',
  '/process.Process/Start',
])('lets %s pass', (path) => {
  expect(reservedPath(path)).toBeUndefined();
});

it('agrees with what a URL parser would serve', () => {
  const segment = fc.constantFrom('init', '%69nit', 'INIT', '.', '..', '%2e', '%2E%2e', '', 'x', 'fsthaw');
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
      const target = `/${segments.join('/')}`;
      const served = decodeURIComponent(new URL(target.replace(/^\/+/, '/'), 'http://x').pathname);
      if (RESERVED.includes(served)) expect(reservedPath(target)).toBe(served);
    }),
  );
});
