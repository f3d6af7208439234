import { ENVD_VERSION } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { parseEgress as parse, parseIngress } from './network-rules.ts';

const parseEgress = (request: Parameters<typeof parse>[0]) => parse(request, ENVD_VERSION);

describe('parseEgress', () => {
  it.each<[{ allowOut?: string[]; denyOut?: string[]; allow_internet_access?: boolean }]>([
    [{ denyOut: ['0.0.0.0/0'] }],
    [
      {
        denyOut: ['0.0.0.0/0', '0.0.0.0/0'],
        allowOut: ['1.1.1.1', '10.0.0.0/8', '0.0.0.0/0', '2606:4700::1111'],
      },
    ],
    [{ allow_internet_access: false }],
    [{}],
  ])('accepts %j', (request) => {
    expect(parseEgress(request)).toMatchObject({
      allowOut: request.allowOut ?? [],
      denyOut: request.denyOut ?? [],
    });
  });

  it.each([
    ['example.com'],
    ['0.0.0.0'],
    ['::'],
    ['0:0::0'],
    ['::0.0.0.0'],
    ['::/0'],
    ['0.0.0.0/8'],
    ['10.0.0.0/33'],
    ['10.0.0.0/08'],
    // nft takes it for 8.8.0.0/20.
    ['8.8.8.0/024'],
    ['10.0.0.0/'],
    ['10.0.0/8'],
    ['1.1.1.1/8/8'],
    ['fe80::1%eth0'],
    ['1.1.1.1; drop'],
    [''],
  ])('refuses to deny %j', (entry) => {
    expect(() => parseEgress({ denyOut: [entry] })).toThrow(`invalid denied CIDR ${entry}`);
  });

  it.each(['0.0.0.0', '::'])('refuses to allow %j', (entry) => {
    expect(() => parseEgress({ allowOut: [entry] })).toThrow(`invalid allowed address ${entry}`);
  });

  it('keeps "never said" apart from false', () => {
    expect(parseEgress({}).allowInternetAccess).toBeUndefined();
    expect(parseEgress({ allow_internet_access: false }).allowInternetAccess).toBe(false);
  });

  it('takes names if all else is denied, as they were sent', () => {
    const allowOut = ['*.Example.com', 'a.example', '*', '1.1.1.1'];
    expect(parseEgress({ allowOut, denyOut: ['0.0.0.0/0'] })).toMatchObject({ allowOut });
    expect(() => parseEgress({ allowOut: ['a.example'], denyOut: ['1.1.1.1'] })).toThrow(
      "you must include 'ALL_TRAFFIC' in deny out",
    );
  });

  it('learns if it is asked to', () => {
    expect(parseEgress({}).learning).toBe(false);
    expect(parseEgress({ learning: true }).learning).toBe(true);
  });
});

describe('parseIngress', () => {
  it('is public by default', () => {
    expect(parseIngress(undefined)).toMatchObject({ allowPublicTraffic: true });
    expect(parseIngress({ allowPublicTraffic: false, maskRequestHost: 'app.example:8080' })).toMatchObject({
      allowPublicTraffic: false,
      maskRequestHost: 'app.example:8080',
    });
  });

  it('refuses a host that would break a header', () => {
    expect(() => parseIngress({ maskRequestHost: 'a\r\nX: y' })).toThrow('invalid mask request host');
  });
});
