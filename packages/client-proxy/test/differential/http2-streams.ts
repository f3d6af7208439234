import fc from 'fast-check';
import type { Hosts } from './http1-requests.ts';

/** One stream as a client sends it. Everything is latin1. */
export interface StreamToSend {
  /** Pseudo-headers first, or not. */
  head: [string, string][];
  data: string[];
  trailers: [string, string][];
}

const mostly = <T>(good: T[], odd: T[]) =>
  fc.oneof(
    { arbitrary: fc.constantFrom(...good), weight: 25 },
    { arbitrary: fc.constantFrom(...odd), weight: 1 },
  );

const NAME = mostly(
  ['x-a', 'accept', 'cookie', 'x-forwarded-host', 'expect'],
  [
    'X-A',
    'x a',
    'x\r\ny',
    'x:',
    '',
    'x\0',
    '\xe9',
    'connection',
    'transfer-encoding',
    'keep-alive',
    'upgrade',
    'te',
    'host',
    ':x',
    'proxy-connection',
    'http2-settings',
    '__proto__',
  ],
);
const VALUE = mostly(
  ['a', '', 'b c', '\xff', 'trailers', '100-continue'],
  [
    'a\r\nx-injected: 1',
    'a\nx-injected: 1',
    'a\rb',
    'a\0',
    ' a',
    'a ',
    'chunked',
    '\x7f',
    'a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n',
  ],
);
const METHOD = mostly(
  ['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS'],
  ['get', 'GET /smuggled HTTP/1.1\r\nx: ', 'G T', '', 'CONNECT', 'X\r\n'],
);
const SCHEME = mostly(['http', 'https'], ['', 'ftp', 'http\r\n', 'http://x']);
const LENGTH = mostly(['0', '3', '5'], ['+5', '5, 5', '05', '', '-1', '5 ', '0x5', '9'.repeat(20)]);
const TRAILER = fc.tuple(
  mostly(
    ['x-t', 'grpc-status'],
    ['host', 'content-length', 'transfer-encoding', ':path', 'x t', 'authorization'],
  ),
  VALUE,
);

const path = ({ open, closed }: Hosts) =>
  mostly(
    ['/', '/a?b=c'],
    [
      '',
      '*',
      '/a b',
      '/a\r\nx-injected: 1',
      '/ HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled',
      `http://${closed}/`,
      `http://${open}/`,
      '//x',
      '/#x',
      '/\0',
      '/\xff',
      'x',
    ],
  );
const authority = ({ open, closed }: Hosts) =>
  mostly(
    [open, open, open, closed],
    [`${open}\r\nx-injected: 1`, `a@${open}`, `${open}, ${closed}`, '', `${open} `, `${open}/x`, 'x'],
  );

/** Streams that are right, and such as an attacker would try. */
export function http2Streams(hosts: Hosts): fc.Arbitrary<StreamToSend> {
  const pseudo = fc
    .record({ method: METHOD, scheme: SCHEME, authority: authority(hosts), path: path(hosts) })
    .map(({ method, scheme, authority: host, path: target }): [string, string][] => [
      [':method', method],
      [':scheme', scheme],
      [':authority', host],
      [':path', target],
    ]);
  const field = fc.oneof(
    { arbitrary: fc.tuple(NAME, VALUE), weight: 8 },
    { arbitrary: fc.tuple(fc.constant('content-length'), LENGTH), weight: 2 },
    { arbitrary: fc.tuple(fc.constant('host'), authority(hosts)), weight: 1 },
    { arbitrary: fc.tuple(fc.constantFrom(':path', ':authority', ':method', ':protocol'), VALUE), weight: 1 },
  );
  return fc
    .record({
      pseudo,
      fields: fc.array(field, { maxLength: 4 }),
      isLate: mostly([false], [true]),
      data: fc.array(fc.constantFrom('abc', 'hello', '', '0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n'), {
        maxLength: 2,
      }),
      trailers: fc.oneof(
        { arbitrary: fc.constant<[string, string][]>([]), weight: 3 },
        { arbitrary: fc.array(TRAILER, { maxLength: 2 }), weight: 1 },
      ),
    })
    .map(({ pseudo: four, fields, isLate, data, trailers }) => ({
      head: isLate ? [...fields, ...four] : [...four, ...fields],
      data,
      trailers,
    }));
}
