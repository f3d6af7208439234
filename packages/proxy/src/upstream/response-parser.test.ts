import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResponseParser, UpstreamProtocolError } from './response-parser.ts';

interface Parsed {
  interim: number[];
  status: number | undefined;
  fields: string[];
  body: string;
  trailers: string[] | undefined;
  rest: string | undefined;
  reusable: boolean;
}

/** Parses what arrives in the given pieces; `closed` says that the server then closes. */
function parse(
  pieces: Buffer[],
  options: { method?: string; tunnel?: boolean; closed?: boolean } = {},
): Parsed {
  const parsed: Parsed = {
    interim: [],
    status: undefined,
    fields: [],
    body: '',
    trailers: undefined,
    rest: undefined,
    reusable: false,
  };
  const parser = new ResponseParser({
    onInformation: (head) => parsed.interim.push(head.status),
    onHead: (head) => {
      parsed.status = head.status;
      parsed.fields = head.fields;
    },
    onBody: (chunk) => {
      parsed.body += chunk.toString('latin1');
    },
    onComplete: (trailers) => {
      parsed.trailers = trailers;
    },
    onSwitch: (head, rest) => {
      parsed.status = head.status;
      parsed.rest = rest.toString('latin1');
    },
  });
  parser.begin(options.method ?? 'GET', options.tunnel ?? false);
  for (const piece of pieces) parser.execute(piece);
  if (options.closed) parser.finish();
  parsed.reusable = parser.reusable;
  return parsed;
}

const bytes = (text: string) => [Buffer.from(text, 'latin1')];

describe('frames a body', () => {
  it.each<[string, string, Partial<Parsed>]>([
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
      'in chunks with a length beside',
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
      { body: 'a', reusable: false },
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
    [
      'after stray empty lines',
      '\r\n\nHTTP/1.1 200\r\nContent-Length: 1\r\n\r\nz',
      { body: 'z', status: 200 },
    ],
  ])('%s', (_, text, expected) => {
    expect(parse(bytes(text))).toMatchObject(expected);
  });

  it('that ends with the connection', () => {
    const text = 'HTTP/1.1 200 OK\r\n\r\nall of it';
    expect(parse(bytes(text), { closed: true })).toMatchObject({
      body: 'all of it',
      trailers: [],
      reusable: false,
    });
    expect(parse(bytes(text)).trailers).toBeUndefined();
  });

  it('of none to HEAD, 204 and 304, whatever they announce', () => {
    const head = parse(bytes('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'), { method: 'HEAD' });
    expect(head).toMatchObject({ trailers: [], reusable: true });
    for (const status of [204, 304]) {
      const text = `HTTP/1.1 ${status} X\r\nTransfer-Encoding: chunked\r\n\r\n`;
      expect(parse(bytes(text))).toMatchObject({ trailers: [], body: '' });
    }
  });
});

it('gives the bytes behind a switch of protocol over', () => {
  const text = 'HTTP/1.1 101 Go\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nabc';
  expect(parse(bytes(text), { tunnel: true })).toMatchObject({ status: 101, rest: 'abc' });
  expect(() => parse(bytes(text))).toThrow(UpstreamProtocolError);
});

it.each([
  'HTTP/1.1 20 OK\r\n\r\n',
  'HTTP/1.1 2000 OK\r\n\r\n',
  'HTTP/1.1 099 OK\r\n\r\n',
  'http/1.1 200 OK\r\n\r\n',
  'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
  'HTTP/1.1 200 OK\r\n: empty\r\n\r\n',
  'HTTP/1.1 200 OK\r\nName : x\r\n\r\n',
  'HTTP/1.1 200 OK\r\n folded: first\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n',
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'0'.repeat(5000)}`,
  `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(300_000)}`,
])('refuses %j', (text) => {
  expect(() => parse(bytes(text))).toThrow(UpstreamProtocolError);
});

it.each([
  '',
  'HTTP/1.1 200',
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n',
])('takes %j for broken off where the connection ends', (text) => {
  expect(() => parse(bytes(text), { closed: true })).toThrow(UpstreamProtocolError);
});

it('reads the same however the bytes are cut', () => {
  const texts = [
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 11\r\n\r\nhello world',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n',
    'HTTP/1.1 200 OK\nX-A: b\nContent-Length: 5\n\nhello',
  ];
  fc.assert(
    fc.property(fc.constantFrom(...texts), fc.array(fc.nat(120), { maxLength: 12 }), (text, cuts) => {
      const whole = Buffer.from(text, 'latin1');
      const at = [...new Set([0, ...cuts.filter((cut) => cut < whole.length), whole.length])].sort(
        (a, b) => a - b,
      );
      const pieces = at.slice(1).map((end, i) => whole.subarray(at[i], end));
      expect(parse(pieces)).toEqual(parse([whole]));
    }),
    { numRuns: 500 },
  );
});

it('ends on any bytes, with a response or an error of its own', () => {
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
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      try {
        parse(bytes(parts.join('')), { closed: true });
      } catch (error) {
        expect(error).toBeInstanceOf(UpstreamProtocolError);
      }
    }),
    { numRuns: 500 },
  );
});
