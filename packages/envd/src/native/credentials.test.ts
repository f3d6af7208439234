import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Account } from '../accounts/account.ts';
import { createCredentials } from './credentials.ts';

const account: Account = {
  name: 'somebody',
  uid: 4711,
  gid: 4712,
  groups: [4712, 4713],
  home: '/',
};
const credentials = createCredentials();

/** Real, effective, saved and file system ids of this thread, and its groups. */
function identity(): string[] {
  const status = readFileSync('/proc/thread-self/status', 'utf8');
  return ['Uid', 'Gid', 'Groups'].map(
    (name) => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'm').exec(status)?.[1]?.replaceAll('\t', ' ') ?? '',
  );
}

const ROOT = ['0 0 0 0', '0 0 0 0'];

it('acts as another user with effective ids alone, which let nobody signal this process', () => {
  expect(credentials.actAs(account, identity)).toEqual(['0 4711 0 4711', '0 4712 0 4712', '4712 4713']);
  expect(identity().slice(0, 2)).toEqual(ROOT);
});

it('becomes another user for what is started meanwhile, and is root again after it, also if that fails', () => {
  expect(credentials.become(account, identity)).toEqual([
    '4711 4711 0 4711',
    '4712 4712 0 4712',
    '4712 4713',
  ]);
  const fail = () => {
    throw new Error('it failed');
  };
  expect(() => credentials.become(account, fail)).toThrow('it failed');
  expect(identity().slice(0, 2)).toEqual(ROOT);
});
