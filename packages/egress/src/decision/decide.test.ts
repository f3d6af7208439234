import { ALWAYS_DENIED, isIPv4Network } from '@islet/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EgressPolicy } from '../policy.ts';
import { Cidrs, mergeAddresses } from './cidrs.ts';
import { type Destination, decide, isPublic } from './decide.ts';
import { normalName } from './names.ts';

const OPEN: EgressPolicy = { allowOut: [], denyOut: [], learning: false, rules: [] };
const ALL = '0.0.0.0/0';
const to = (over: Partial<Destination>): Destination => ({
  kind: 'none',
  address: '1.1.1.1',
  port: 443,
  ...over,
});
const decideWith = (policy: Partial<EgressPolicy>, over: Partial<Destination> = {}) =>
  decide({ ...OPEN, ...policy }, to(over));

describe('a decision', () => {
  it('allows by default, and by an entry that beats any that denies', () => {
    expect(decideWith({})).toEqual({ decision: 'allowed', rule: '', matchType: 'default' });
    expect(decideWith({ denyOut: [ALL] })).toEqual({ decision: 'denied', rule: ALL, matchType: 'cidr' });
    expect(decideWith({ denyOut: ['1.1.1.1'], allowOut: ['1.1.1.1'] })).toEqual({
      ...{ decision: 'allowed', rule: '1.1.1.1', matchType: 'cidr' },
    });
    expect(decideWith({ denyOut: ['1.1.1.1'], allowOut: [ALL] })).toMatchObject({ rule: ALL });
    expect(decideWith({ allowOut: ['2.2.2.2'] })).toMatchObject({ matchType: 'default' });
  });

  it('without internet access denies all, whatever is in the list', () => {
    const closed = { allowInternetAccess: false, denyOut: ['9.9.9.9'] };
    expect(decideWith(closed)).toEqual({ decision: 'denied', rule: ALL, matchType: 'cidr' });
    expect(decideWith({ ...closed, allowOut: ['1.1.1.0/24'] })).toMatchObject({ decision: 'allowed' });
  });

  it('goes by a name before it goes by an address', () => {
    const policy = { denyOut: [ALL], allowOut: ['A.Example', '*.b.example', '1.1.1.1'] };
    const named = (name: string) => decideWith(policy, { name, kind: 'tls', address: '5.5.5.5' });
    expect(named('a.EXAMPLE.')).toEqual({ decision: 'allowed', rule: 'A.Example', matchType: 'domain' });
    expect(named('x.y.b.example')).toMatchObject({ rule: '*.b.example' });
    for (const other of ['b.example', 'x.a.example', 'xb.example', 'aa.example', 'example']) {
      expect(named(other).decision).toBe('denied');
    }
    expect(decideWith(policy, { name: 'a.example', kind: 'tls' })).toMatchObject({ matchType: 'domain' });
    expect(decideWith(policy, { name: 'a.example', kind: 'none', address: '5.5.5.5' }).decision).toBe(
      'denied',
    );
  });

  it('takes no address for a name, not even by *', () => {
    const policy = { denyOut: [ALL], allowOut: ['*'] };
    expect(decideWith(policy, { name: 'any.example', kind: 'http' })).toMatchObject({ rule: '*' });
    expect(decideWith(policy).decision).toBe('denied');
    for (const name of ['1.1.1.1', '1.1', '0x7f.1', '::1', '2130706433']) {
      expect(decideWith(policy, { name, kind: 'tls' }).decision).toBe('denied');
    }
  });

  it('allows the resolver with the first name, for questions alone', () => {
    const dns = { address: '8.8.8.8', port: 53 };
    expect(decideWith({ denyOut: [ALL], allowOut: ['a.example'] }, dns)).toMatchObject({ matchType: 'dns' });
    expect(decideWith({ denyOut: [ALL], allowOut: ['1.1.1.1'] }, dns).decision).toBe('denied');
    expect(decideWith({ denyOut: [ALL], allowOut: ['a.example'] }, { ...dns, port: 443 }).decision).toBe(
      'denied',
    );
  });

  it('while it learns denies only what no sandbox reaches', () => {
    expect(decideWith({ learning: true, denyOut: [ALL] })).toMatchObject({
      matchType: 'learning',
      decision: 'allowed',
    });
    expect(decideWith({ learning: true }, { address: '10.1.1.1' })).toMatchObject({
      matchType: 'always-denied',
    });
  });

  const octet = fc.nat(255);
  const address = fc.tuple(octet, octet, octet, octet).map((parts) => parts.join('.'));
  const cidr = fc.tuple(address, fc.nat(32)).map(([at, bits]) => `${at}/${bits}`);
  const entry = fc.oneof(address, cidr, fc.constantFrom('*', 'a.example', '*.example', ALL));

  it('never allows what is always denied, and does not depend on order or repetition', () => {
    fc.assert(
      fc.property(
        fc.array(entry),
        fc.array(entry),
        address,
        fc.boolean(),
        (allowOut, denyOut, at, learning) => {
          const destination = { name: 'a.example', kind: 'tls', address: at } as const;
          const { decision } = decideWith({ allowOut, denyOut, learning }, destination);
          if (!isPublic(at)) expect(decision).toBe('denied');
          const turned = {
            allowOut: [...allowOut, ...allowOut].reverse(),
            denyOut: [...denyOut].reverse(),
            learning,
          };
          expect(decideWith(turned, destination).decision).toBe(decision);
        },
      ),
    );
  });

  it('finds the networks that an address is in, as arithmetic does', () => {
    fc.assert(
      fc.property(fc.array(cidr), address, (networks, at) => {
        const found = new Cidrs(networks).find(at);
        const holds = (network: string) => {
          const [base = '', bits = ''] = network.split('/');
          const shift = 32n - BigInt(bits);
          return number(base) >> shift === number(at) >> shift;
        };
        expect(found !== undefined).toBe(networks.some(holds));
        if (found !== undefined) expect(holds(found)).toBe(true);
      }),
    );
  });

  it('merges addresses into networks that hold them and no others', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40).map((low) => `5.5.5.${low}`)), (addresses) => {
        const merged = new Cidrs(mergeAddresses(addresses));
        for (let low = 0; low <= 48; low++) {
          expect(merged.find(`5.5.5.${low}`) !== undefined).toBe(addresses.includes(`5.5.5.${low}`));
        }
      }),
    );
    expect(mergeAddresses([])).toEqual([]);
  });
});

it('takes for an address only what is one', () => {
  for (const text of ['1.2.3.4', '1.2.3.4/0', '1.2.3.4/32']) expect(isIPv4Network(text)).toBe(true);
  for (const text of ['1.2.3', '1.2.3.4/33', '1.2.3.4/024', '01.2.3.4', '::1', 'a.example', '1.2.3.4/']) {
    expect(isIPv4Network(text)).toBe(false);
  }
  for (const range of ALWAYS_DENIED) expect(isPublic(range.split('/')[0] as string)).toBe(false);
  expect(['1.1.1.1', '172.32.0.1'].every(isPublic)).toBe(true);
  expect(['1.1.1.0/24', '::1', '', 'a'].some(isPublic)).toBe(false);
});

it('takes for a name only what the DNS would', () => {
  expect(normalName('A_b-c.Example.')).toBe('a_b-c.example');
  expect(normalName('xn--bcher-kva.example')).toBe('xn--bcher-kva.example');
  const wrong = [
    '',
    '.',
    'a..b',
    '-a.example',
    'a-.example',
    'bücher.example',
    'a b',
    'a/b',
    'x'.repeat(64),
    '1.2.3.4',
  ];
  for (const text of [...wrong, 'a.1', 'a.0x1', `${'a.'.repeat(130)}a`])
    expect(normalName(text)).toBeUndefined();
});

function number(address: string): bigint {
  return address.split('.').reduce((value, part) => value * 256n + BigInt(part), 0n);
}
