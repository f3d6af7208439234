import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuzzResponse } from '../../test/fuzz-response.ts';
import { cut, drip, type Reading, readResponse } from '../../test/read-response.ts';
import { MAX_HEAD_BYTES, MAX_INTERIM_RESPONSES, MAX_TRAILER_BYTES } from './response-parser.ts';

const bytes = (text: string) => [Buffer.from(text, 'latin1')];

describe('frames a body', () => {
  it.each<[string, string, Partial<Reading>]>([
    ['by length', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc', { body: 'abc', reusable: true }],
    [
      'of no bytes',
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      { body: '', reusable: true, trailers: [] },
    ],
    [
      'in chunks',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n',
      { body: 'abc0123456789', reusable: true },
    ],
    [
      'with trailers',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nX-T: v\r\n\r\n',
      { body: 'a', trailers: ['X-T', 'v'] },
    ],
    [
      'behind interim responses',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz',
      { interim: [100, 103], body: 'z' },
    ],
    [
      'with more bytes behind it',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nzHTTP/1.1 200 OK',
      { body: 'z', reusable: false },
    ],
    [
      'on a connection that closes',
      'HTTP/1.1 200 OK\r\nConnection: X, Close\r\nContent-Length: 1\r\n\r\nz',
      { body: 'z', reusable: false },
    ],
    ['of HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nz', { body: 'z', reusable: false }],
    [
      'of HTTP/1.0 that keeps alive',
      'HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nz',
      { body: 'z', reusable: true },
    ],
    ['without a reason', 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nz', { body: 'z', status: 200 }],
    [
      'by chunk sizes with zeros and extensions',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00A;a;b=c;d="e f"\r\n0123456789\r\n00;z\r\n\r\n',
      { body: '0123456789', reusable: true },
    ],
  ])('%s', (_, text, expected) => {
    expect(readResponse(bytes(text))).toMatchObject(expected);
  });

  it('that ends with the connection', () => {
    const text = 'HTTP/1.1 200 OK\r\n\r\nall of it';
    expect(readResponse(bytes(text), { closed: true })).toMatchObject({
      body: 'all of it',
      trailers: [],
      reusable: false,
    });
    expect(readResponse(bytes(text)).complete).toBe(false);
  });

  it('of none to HEAD, 204 and 304, whatever they announce', () => {
    const head = readResponse(bytes('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'), { method: 'HEAD' });
    expect(head).toMatchObject({ trailers: [], reusable: true });
    for (const head of [
      '304 X\r\nTransfer-Encoding: chunked',
      '304 X\r\nContent-Length: 7',
      '204 X\r\nContent-Length: 0',
    ]) {
      const answer = readResponse(bytes(`HTTP/1.1 ${head}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`));
      expect(answer).toMatchObject({ trailers: [], body: '', reusable: false });
    }
  });
});

it('gives the bytes behind a switch of protocol over', () => {
  const text = 'HTTP/1.1 101 Go\r\nUpgrade: X\r\nConnection: keep-alive, Upgrade\r\n\r\nabc';
  expect(readResponse(bytes(text), { upgrade: 'h2c, x' })).toMatchObject({ status: 101, surplus: 'abc' });
});

it.each([
  ['that no one asked for', 'Upgrade: x\r\nConnection: Upgrade', undefined],
  ['to another protocol', 'Upgrade: y\r\nConnection: Upgrade', 'x, yy'],
  ['to no protocol', 'Connection: Upgrade', 'x'],
  ['that Connection does not name', 'Upgrade: x\r\nConnection: close', 'x'],
  ['with a length', 'Upgrade: x\r\nConnection: Upgrade\r\nContent-Length: 0', 'x'],
  ['with a coding', 'Upgrade: x\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked', 'x'],
])('refuses a switch of protocol %s', (_, fields, upgrade) => {
  const answer = readResponse(bytes(`HTTP/1.1 101 Go\r\n${fields}\r\n\r\nabc`), upgrade ? { upgrade } : {});
  expect(answer).toMatchObject({ status: undefined, error: expect.any(String) });
});

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

describe('refuses an answer', () => {
  it.each([
    ['with a short status', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['with a long status', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['with a status below 100', 'HTTP/1.1 099 OK\r\n\r\n'],
    ['in lower case', 'http/1.1 200 OK\r\n\r\n'],
    ['of another version', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['that begins with an empty line', `\r\n${OK}\r\n`],
    ['that is an empty line', '\r\n'],
    ['with a control character in its reason', 'HTTP/1.1 200 O\x01K\r\n\r\n'],
    ['without a colon', `${OK}no colon\r\n\r\n`],
    ['without a name', `${OK}: empty\r\n\r\n`],
    ['with a blank before the colon', `${OK}Name : x\r\n\r\n`],
    ['with a tab before the colon', `${OK}Content-Length\t: 1\r\n\r\n`],
    ['with a fold in front', `${OK} folded: first\r\n\r\n`],
    ['with a folded value', `${OK}X: a\r\n b: c\r\n\r\n`],
    ['with a folded length', `${OK}Content-Length:\r\n 1\r\n\r\nx`],
    ['with a bare carriage return', `${OK}X: a\rb\r\n\r\n`],
    ['with a bare carriage return before a field', `${OK}X: a\rContent-Length: 1\r\n\r\n`],
    ['with bare line feeds', 'HTTP/1.1 200 OK\nX-A: b\n\nhello'],
    ['with one bare line feed', `${OK}X: a\nContent-Length: 1\r\n\r\nx`],
    ['with a bare line feed as its end', `${OK}X: a\r\n\nx`],
    ['with a NUL', `${OK}X: a\0\r\n\r\n`],
    ['with a NUL in a name', `${OK}X\0: a\r\n\r\n`],
    ['with a letter in its length', `${OK}Content-Length: 1x\r\n\r\n`],
    ['with a signed length', `${OK}Content-Length: +1\r\n\r\nx`],
    ['with a negative length', `${OK}Content-Length: -1\r\n\r\nx`],
    ['with a hexadecimal length', `${OK}Content-Length: 0x1\r\n\r\nx`],
    ['with a fraction of a length', `${OK}Content-Length: 1.0\r\n\r\nx`],
    ['with an exponent in its length', `${OK}Content-Length: 1e1\r\n\r\nx`],
    ['with an underscore in its length', `${OK}Content-Length: 1_0\r\n\r\nx`],
    ['with an empty length', `${OK}Content-Length: \r\n\r\n`],
    ['with a list of lengths', `${OK}Content-Length: 1, 1\r\n\r\nx`],
    ['with two lengths', `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`],
    ['with two equal lengths', `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`],
    ['with a length that no double holds', `${OK}Content-Length: 9999999999999999\r\n\r\n`],
    [
      'with a length and chunks',
      `${OK}Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
    ],
    [
      'with chunks and a length',
      `${OK}Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n1\r\na\r\n0\r\n\r\n`,
    ],
    [
      'with both and a Connection that names one',
      `${OK}Connection: content-length\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ],
    ['with another coding', `${OK}Transfer-Encoding: gzip\r\n\r\n`],
    ['with two codings', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    ['with a coding behind chunked', `${OK}Transfer-Encoding: chunked, identity\r\n\r\n`],
    ['chunked twice', `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ['with a vertical tab before its coding', `${OK}Transfer-Encoding:\x0bchunked\r\n\r\n`],
    ['with an empty coding', `${OK}Transfer-Encoding: \r\n\r\n`],
    ['in chunks of HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['204 with a length', 'HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\nx'],
    ['204 in chunks', 'HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['interim with a length', `HTTP/1.1 103 E\r\nContent-Length: 0\r\n\r\n${OK}\r\n`],
    ['interim in chunks', `HTTP/1.1 100 C\r\nTransfer-Encoding: chunked\r\n\r\n${OK}\r\n`],
    ['with a chunk size that is none', `${CHUNKED}xyz\r\n`],
    ['with an empty chunk size', `${CHUNKED}\r\n`],
    ['with a signed chunk size', `${CHUNKED}+1\r\na\r\n0\r\n\r\n`],
    ['with a negative chunk size', `${CHUNKED}-1\r\n`],
    ['with 0x before a chunk size', `${CHUNKED}0x1\r\na\r\n0\r\n\r\n`],
    ['with an underscore in a chunk size', `${CHUNKED}1_0\r\n`],
    ['with a blank before a chunk size', `${CHUNKED} 1\r\na\r\n0\r\n\r\n`],
    ['with a blank behind a chunk size', `${CHUNKED}1 \r\na\r\n0\r\n\r\n`],
    ['with a chunk size of many digits', `${CHUNKED}${'0'.repeat(5000)}`],
    ['with a chunk size that no double holds', `${CHUNKED}ffffffffffffffff\r\n`],
    ['with a chunk longer than announced', `${CHUNKED}1\r\nab\r\n0\r\n\r\n`],
    ['with a chunk shorter than announced', `${CHUNKED}3\r\nab\r\n0\r\n\r\n`],
    ['with a bare line feed behind a chunk size', `${CHUNKED}1\na\r\n0\r\n\r\n`],
    ['with a bare line feed behind a chunk', `${CHUNKED}1\r\na\n0\r\n\r\n`],
    ['with a bare carriage return behind a chunk size', `${CHUNKED}1\ra\r\n0\r\n\r\n`],
    ['with extensions that are none', `${CHUNKED}1;;\r\na\r\n0\r\n\r\n`],
    ['with a line feed in extensions', `${CHUNKED}1;a\nb\r\na\r\n0\r\n\r\n`],
    ['with long extensions', `${CHUNKED}1;${'a'.repeat(300)}\r\na\r\n0\r\n\r\n`],
    ['with extensions without an end', `${CHUNKED}1;${'a'.repeat(300)}`],
    ['with a length in its trailers', `${CHUNKED}0\r\nContent-Length: 1\r\n\r\n`],
    ['with a coding in its trailers', `${CHUNKED}0\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ['with a malformed trailer', `${CHUNKED}0\r\nX y\r\n\r\n`],
    ['with a folded trailer', `${CHUNKED}0\r\nX: y\r\n z\r\n\r\n`],
    ['with a large head', `${OK}X: ${'a'.repeat(MAX_HEAD_BYTES)}`],
    ['with a large head of small fields', `${OK}${`X: ${'a'.repeat(400)}\r\n`.repeat(200)}\r\n`],
    ['with many fields', `${OK}${'X: a\r\n'.repeat(257)}\r\n`],
    ['with a large head behind interim ones', `HTTP/1.1 103 E\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`.repeat(2)],
    ['with many interim ones', 'HTTP/1.1 102 P\r\n\r\n'.repeat(MAX_INTERIM_RESPONSES + 1)],
    ['with large trailers', `${CHUNKED}0\r\n${`X: ${'a'.repeat(100)}\r\n`.repeat(200)}\r\n`],
    ['with a large trailer', `${CHUNKED}0\r\nX: ${'a'.repeat(MAX_TRAILER_BYTES)}`],
    ['with many trailers', `${CHUNKED}0\r\n${'X: a\r\n'.repeat(257)}\r\n`],
  ])('%s', (_, text) => {
    expect(readResponse(bytes(text)).error).toEqual(expect.any(String));
    expect(readResponse(drip(Buffer.from(text, 'latin1'))).error).toEqual(expect.any(String));
  });
});

it.each(['', 'HTTP/1.1 200', `${OK}Content-Length: 5\r\n\r\nab`, `${CHUNKED}1\r\na\r\n`, `${CHUNKED}0\r\n`])(
  'takes %j for broken off if the connection ends',
  (text) => {
    expect(readResponse(bytes(text), { closed: true })).toMatchObject({
      complete: false,
      error: expect.any(String),
    });
  },
);

describe('takes an effort that grows with the bytes only', () => {
  /** Bytes that everything which looks at buffers or copies them was given, while `work` ran. */
  function effortOf(work: () => void): number {
    let bytes = 0;
    const { concat } = Buffer;
    const { prototype } = Buffer;
    const own = { indexOf: prototype.indexOf, copy: prototype.copy, toString: prototype.toString };
    Buffer.concat = (list, length) => {
      const joined = concat(list, length);
      bytes += joined.length;
      return joined;
    };
    prototype.indexOf = function (this: Buffer, value: number, from?: number) {
      const at = own.indexOf.call(this, value, from);
      bytes += (at === -1 ? this.length : at) - (from ?? 0);
      return at;
    };
    prototype.copy = function (this: Buffer, ...args: Parameters<Buffer['copy']>) {
      const copied = own.copy.apply(this, args);
      bytes += copied;
      return copied;
    };
    prototype.toString = function (this: Buffer, ...args: Parameters<Buffer['toString']>) {
      const text = own.toString.apply(this, args);
      bytes += text.length;
      return text;
    };
    try {
      work();
    } finally {
      Buffer.concat = concat;
      Object.assign(prototype, own);
    }
    return bytes;
  }

  it.each([
    ['a head of one long field', `${OK}X: ${'a'.repeat(60_000)}\r\nContent-Length: 0\r\n\r\n`],
    ['a head of many fields', `${OK}${`X: ${'a'.repeat(200)}\r\n`.repeat(250)}Content-Length: 0\r\n\r\n`],
    [
      'interim answers',
      `${`HTTP/1.1 103 E\r\nLink: ${'a'.repeat(600)}\r\n\r\n`.repeat(90)}${OK}Content-Length: 0\r\n\r\n`,
    ],
    ['chunks of one byte', `${CHUNKED}${'1\r\na\r\n'.repeat(10_000)}0\r\n\r\n`],
    ['chunks with extensions', `${CHUNKED}${`1;${'e'.repeat(250)}\r\na\r\n`.repeat(200)}0\r\n\r\n`],
    ['a long trailer', `${CHUNKED}0\r\nX: ${'a'.repeat(16_000)}\r\n\r\n`],
    ['many trailers', `${CHUNKED}0\r\n${`X: ${'a'.repeat(50)}\r\n`.repeat(250)}\r\n`],
  ])('for %s, a byte at a time', (_, text) => {
    const pieces = drip(Buffer.from(text, 'latin1'));
    let answer: Reading | undefined;
    const effort = effortOf(() => {
      answer = readResponse(pieces);
    });
    expect(answer).toMatchObject({ complete: true, error: undefined });
    expect(effort).toBeLessThan(12 * text.length);
  });

  it('for chunks of one byte that come at once: they are one piece of the body', () => {
    const answer = readResponse(bytes(`${CHUNKED}${'1\r\na\r\n'.repeat(10_000)}0\r\n\r\n`));
    expect(answer).toMatchObject({ body: 'a'.repeat(10_000), pieces: 1, complete: true });
  });
});

it('reads the same however the bytes are cut', () => {
  const texts = [
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 11\r\n\r\nhello world',
    `${CHUNKED}5\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n`,
    `${CHUNKED}3;a="b c"\r\nhel\r\n02\r\nlo\r\n28\r\n${'0123456789'.repeat(4)}\r\n000;b\r\n\r\n`,
  ];
  fc.assert(
    fc.property(fc.constantFrom(...texts), fc.array(fc.nat(160), { maxLength: 12 }), (text, places) => {
      const whole = Buffer.from(text, 'latin1');
      const { pieces: _, ...answer } = readResponse(cut(whole, places));
      expect(readResponse([whole])).toMatchObject(answer);
    }),
    { numRuns: 500 },
  );
});

it('takes any bytes that a fuzzer may try', () => {
  const part = fc.constantFrom(
    'HTTP/1.1 200 OK',
    '\r\n',
    '\n',
    'Content-Length: 3',
    'Transfer-Encoding: chunked',
    ':',
    ' ',
    '0',
    'a\0',
    '5\r\nhello',
  );
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 12 }),
      fc.uint8Array({ minLength: 3, maxLength: 3 }),
      (parts, choices) => {
        fuzzResponse(Buffer.concat([choices, Buffer.from(parts.join(''), 'latin1')]));
      },
    ),
    { numRuns: 1000 },
  );
});
