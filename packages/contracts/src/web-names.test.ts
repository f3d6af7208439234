import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  answersTo,
  formatOrigin,
  isLoopbackHost,
  matchesOrigin,
  parseAuthority,
  parseHostPattern,
  parseOrigin,
  parseOriginPattern,
} from './web-names.ts';

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const port = fc.integer({ min: 1, max: 65_535 });
const upper = (text: string) => text.toUpperCase();

describe('an authority', () => {
  it('is read whatever its case, with the dot of an absolute name and with a port', () => {
    fc.assert(
      fc.property(name, fc.option(port), fc.boolean(), fc.boolean(), (host, number, dot, shout) => {
        const text = `${host}${dot ? '.' : ''}${number === null ? '' : `:${number}`}`;
        expect(parseAuthority(shout ? upper(text) : text)).toEqual({ host, port: number ?? undefined });
      }),
    );
  });

  it('of an IPv6 address has one form', () => {
    for (const text of ['[::1]', '[0:0:0:0:0:0:0:1]', '[0000::0001]', '[::0.0.0.1]']) {
      expect(parseAuthority(text)).toEqual({ host: '::1', port: undefined });
    }
    expect(parseAuthority('[2001:DB8:0::5]:3000')).toEqual({ host: '2001:db8::5', port: 3000 });
  });

  it.each([
    '',
    '.',
    ':80',
    'a:',
    'a:0',
    'a:65536',
    'a:1:2',
    'a..b',
    '.a',
    'a..',
    'user@localhost',
    'localhost@evil.com',
    'localhost/',
    'localhost?x',
    'localhost#x',
    'localhost\\evil.com',
    'localhost evil.com',
    'localhost,evil.com',
    'localhost%00.evil.com',
    'ⅼocalhost',
    'localhost\0',
    '::1',
    '[::1',
    '[fe80::1%eth0]',
    '[localhost]',
    '[127.0.0.1]',
    '*',
    '*.localhost',
    'a'.repeat(254),
  ])('is not read from %j', (text) => {
    expect(parseAuthority(text)).toBeUndefined();
  });
});

describe('an origin', () => {
  it('has the port of its scheme if it names none, and is written as browsers write it', () => {
    expect(parseOrigin('https://app.example.com')).toEqual({
      scheme: 'https',
      host: 'app.example.com',
      port: 443,
    });
    fc.assert(
      fc.property(fc.constantFrom('http', 'https'), name, port, (scheme, host, number) => {
        const { origin } = new URL(`${scheme}://a.${host}.example:${number}`);
        const parsed = parseOrigin(origin);
        expect(parsed && formatOrigin(parsed)).toBe(origin);
      }),
    );
  });

  it.each([
    'null',
    '',
    'localhost:3000',
    'file://',
    'ftp://localhost',
    'http://',
    'http:/localhost',
    'http://localhost/',
    'http://localhost:3000.evil.com',
    'http://localhost:3000, http://evil.com',
    'http://localhost@evil.com',
    'http://evil.com#localhost',
    'chrome-extension://abcdef',
    'blob:http://localhost',
  ])('is not read from %j', (text) => {
    expect(parseOrigin(text)).toBeUndefined();
  });
});

describe('loopback names', () => {
  it.each(['localhost', '3000-iabc.localhost', '127.0.0.1', '127.9.8.7', '::1', '::ffff:7f00:1'])(
    'include %s',
    (host) => expect(isLoopbackHost(host)).toBe(true),
  );

  it('do not include what only looks like one', () => {
    for (const host of [
      ...['localhost.evil.com', 'evil-localhost', 'localhosts', '127.0.0.1.evil.com', '127.evil.com'],
      ...['127.0.0.1-evil.com', '1.127.0.0', '::2', '::ffff:808:808', '::ffff:7f:1', 'localhost.localdomain'],
    ]) {
      expect(isLoopbackHost(host), host).toBe(false);
    }
  });
});

describe('the names that a service answers to', () => {
  it('are no other than loopback names, addresses and those that were named', () => {
    const allowed = ['islet.example.com', '*.sandboxes.example'].map(parseHostPattern);
    for (const host of ['localhost', 'x.localhost', '10.0.0.5', '::1', '2001:db8::5', 'islet.example.com']) {
      expect(answersTo(allowed, host), host).toBe(true);
    }
    expect(answersTo(allowed, '3000-iabc.sandboxes.example')).toBe(true);
    fc.assert(
      fc.property(name, label, (host, first) => {
        // Whoever owns a domain can make every name below it lead here: none of them is enough.
        for (const owned of [`${host}.evil.com`, `${first}.${host}.evil.com`]) {
          expect(answersTo(allowed, owned)).toBe(false);
        }
      }),
    );
    for (const host of [
      'xislet.example.com',
      'islet.example.com.evil.com',
      'sandboxes.example',
      'a.islet.example.com',
    ]) {
      expect(answersTo(allowed, host), host).toBe(false);
    }
  });

  it('are every one where the operator says so', () => {
    expect(answersTo([parseHostPattern('*')], 'evil.com')).toBe(true);
  });

  it.each(['a:80', 'http://a', '**', '*.', 'a.*', '*a', 'a b', ''])('cannot be named as %j', (text) => {
    expect(() => parseHostPattern(text)).toThrow(RangeError);
  });
});

describe('the pages that may call', () => {
  const allows = (pattern: string, origin: string) => {
    const parsed = parseOrigin(origin);
    return parsed !== undefined && matchesOrigin(parseOriginPattern(pattern), parsed);
  };

  it('are told by scheme, host and port', () => {
    expect(allows('https://app.example.com', 'https://app.example.com')).toBe(true);
    expect(allows('https://app.example.com:443', 'https://app.example.com')).toBe(true);
    expect(allows('http://localhost:5173', 'http://LOCALHOST:5173')).toBe(true);
    expect(allows('http://localhost:*', 'http://localhost:8080')).toBe(true);
    expect(allows('https://*.example.com', 'https://a.b.example.com')).toBe(true);
    expect(allows('http://[::1]:80', 'http://[0:0::1]')).toBe(true);
    for (const [pattern, origin] of [
      ['https://app.example.com', 'http://app.example.com'],
      ['https://app.example.com', 'https://app.example.com:8443'],
      ['https://app.example.com', 'https://x.app.example.com'],
      ['https://*.example.com', 'https://example.com'],
      ['https://*.example.com', 'https://evilexample.com'],
      ['http://localhost:*', 'http://3000-iabc.localhost:3002'],
      ['http://localhost:*', 'http://localhost.evil.com'],
      ['http://localhost:*', 'https://localhost'],
      ['http://localhost:5173', 'http://127.0.0.1:5173'],
    ] as const) {
      expect(allows(pattern, origin), `${pattern} ${origin}`).toBe(false);
    }
  });

  it('never are others than the one that was named', () => {
    fc.assert(
      fc.property(name, port, name, port, (host, number, other, otherPort) => {
        const same = host === other && number === otherPort;
        expect(allows(`http://${host}:${number}`, `http://${other}:${otherPort}`)).toBe(same);
      }),
    );
  });

  it.each([
    'null',
    'app.example.com',
    'https://',
    'https://a/b',
    'https://a:1:*',
    'https://*',
    'ftp://a',
    'https://a.*.b',
  ])('cannot be named as %j', (text) => {
    expect(() => parseOriginPattern(text)).toThrow(RangeError);
  });
});
