import { expect, it } from 'vitest';
import { basicUser, keepaliveMs } from './request.ts';

it.each([
  [undefined, undefined],
  [`Basic ${btoa('user:')}`, 'user'],
  [`basic ${btoa('user:secret')}`, 'user'],
  [`Basic ${btoa('user')}`, 'user'],
  [`Basic ${btoa(':')}`, undefined],
  ['Bearer x', undefined],
  ['Basic !!', undefined],
])('user of %j is %j', (header, user) => {
  expect(basicUser(header)).toBe(user);
});

it.each([
  [undefined, 90_000],
  ['50', 50_000],
  ['0', 90_000],
  ['-1', 90_000],
  ['x', 90_000],
  ['9999999', 2 ** 31 - 1],
])('an interval of %j is %i ms', (header, ms) => {
  expect(keepaliveMs(new Headers(header === undefined ? {} : { 'keepalive-ping-interval': header }))).toBe(
    ms,
  );
});
