import fc from 'fast-check';
import type { Situation } from './read-response.ts';

/** An answer as it may come out of a sandbox, most of them wrong in some way that parsers differ about. */
export interface GeneratedAnswer {
  bytes: Buffer;
  situation: Situation;
  /** Places to cut at. */
  places: number[];
}

/** One of the good ones in most cases. */
const mostly = (good: string[], odd: string[]) =>
  fc.oneof(
    { arbitrary: fc.constantFrom(...good), weight: 12 },
    { arbitrary: fc.constantFrom(...odd), weight: 1 },
  );

const VERSION = mostly(['HTTP/1.1'], ['HTTP/1.0', 'HTTP/2.0', 'http/1.1', 'HTTP/1.10']);
const STATUS = mostly(
  ['200 OK', '200', '204 No', '304 Not', '205 R', '500 \xe9', '999 X'],
  ['099 X', '20 X', '200 ', '200 \0', '2000'],
);
const INTERIM = fc.constantFrom('100 Continue', '102 P', '103 Early', '101 Go', '199 X');
const NAME = mostly(
  ['X-A', 'Set-Cookie', 'Date', 'Trailer', 'Expect', '__proto__'],
  ['X A', 'X\0', '', '\xe9', 'Content-Length '],
);
const VALUE = mostly(['a', '', ' ', '\t b \t', '\xff', '"q\\"', ';'], ['a\0', 'a\rb', '\x7f', 'a\n b']);
const LENGTH = mostly(
  ['0', '3', '5', '05', ' 5', '5 '],
  ['5, 5', '+5', '-5', '0x5', '5_0', '5.0', '5e0', '\t5', '5\t', '', '9'.repeat(15), '9'.repeat(20)],
);
const CODING = mostly(
  ['chunked', 'Chunked', 'chunked '],
  ['\tchunked', 'chunked\t', 'gzip, chunked', 'chunked, chunked', 'identity', 'xchunked', '\x0bchunked', ''],
);
const EOL = fc.oneof(
  { arbitrary: fc.constant('\r\n'), weight: 40 },
  { arbitrary: fc.constantFrom('\n', '\r', '\r\r\n', '\n\r\n', '\r\n ', '\r\n\t'), weight: 1 },
);
const COLON = fc.constantFrom(':', ': ', ': ', ':\t');

const token = (name: string) =>
  mostly([name, name.toLowerCase(), name.toUpperCase()], [`${name} `, ` ${name}`, `${name}\t`]);
const join = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((texts) => texts.join(''));
const plain = fc.constantFrom('a', '\xe9', 'hello').map((value) => `X-A: ${value}\r\n`);
const connection = fc
  .constantFrom('close', 'keep-alive', 'content-length', 'transfer-encoding, upgrade', 'Upgrade')
  .map((tokens) => `Connection: ${tokens}\r\n`);
const field = fc.oneof(
  { arbitrary: plain, weight: 4 },
  { arbitrary: connection, weight: 2 },
  {
    arbitrary: fc.constantFrom('Upgrade: websocket\r\n', 'Upgrade: h2c\r\n', 'Keep-Alive: timeout=5\r\n'),
    weight: 1,
  },
  { arbitrary: join(NAME, fc.constant(':'), VALUE, EOL), weight: 2 },
);
const framing = fc.oneof(
  { arbitrary: fc.constantFrom('Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n'), weight: 6 },
  { arbitrary: join(token('Content-Length'), COLON, LENGTH, EOL), weight: 3 },
  { arbitrary: join(token('Transfer-Encoding'), COLON, CODING, EOL), weight: 3 },
  {
    arbitrary: fc.constantFrom(
      '',
      'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
      'Content-Length: 5\r\nContent-Length: 5\r\n',
    ),
    weight: 2,
  },
);
const fieldsOf = (most: number) => fc.array(field, { maxLength: most }).map((fields) => fields.join(''));
const head = (status: fc.Arbitrary<string>, frames: fc.Arbitrary<string>) =>
  join(VERSION, mostly([' '], ['  ', '\t']), status, EOL, fieldsOf(2), frames, fieldsOf(1), EOL);
const interims = fc.oneof(
  { arbitrary: fc.constant(''), weight: 4 },
  {
    arbitrary: fc.constantFrom('HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 E\r\nLink: x\r\n\r\n'),
    weight: 2,
  },
  { arbitrary: head(INTERIM, fc.constantFrom('', '', 'Content-Length: 0\r\n')), weight: 1 },
);

const SIZE = mostly(
  ['3', '03', '3;a', '3;a=b', '3;a="b c"'],
  [
    '0',
    '3;',
    '3;;',
    '3; a',
    '3 ',
    ' 3',
    '3;a="b\\"c"',
    '3;a=',
    '+3',
    '-3',
    '0x3',
    '3_',
    '3\t',
    '00000000000003',
    'fffffffffff',
    'ffffffffffffffff',
    '3;a="',
  ],
);
const chunk = fc.oneof(
  { arbitrary: fc.constantFrom('5\r\nhello\r\n', '1\r\nx\r\n', 'A;b\r\n0123456789\r\n'), weight: 6 },
  { arbitrary: join(SIZE, EOL, mostly(['abc'], ['abcd', 'ab']), EOL), weight: 2 },
);
const trailer = fc.oneof({ arbitrary: fc.constant(''), weight: 4 }, { arbitrary: fieldsOf(2), weight: 2 });
const body = fc.oneof(
  {
    arbitrary: join(
      fc.array(chunk, { maxLength: 3 }).map((chunks) => chunks.join('')),
      mostly(['0\r\n', '000\r\n', '0;x\r\n'], ['', '0\n']),
      trailer,
      mostly(['\r\n'], ['\n', '']),
    ),
    weight: 3,
  },
  { arbitrary: fc.constantFrom('', 'abc', 'hello', 'hello world', '\r\n'), weight: 2 },
);
const NEXT = fc.constantFrom('', '', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', '\r\n', '\0');

/** Two bytes of the answer exchanged for others, or none. */
const noise = fc.array(
  fc.tuple(fc.nat(400), fc.constantFrom(0, 9, 10, 11, 13, 32, 44, 48, 58, 59, 65, 127, 128, 255)),
  { maxLength: 2 },
);

/** Answers that are valid, and such as a hostile server would try, in many shapes. */
export const generatedAnswer: fc.Arbitrary<GeneratedAnswer> = fc
  .record({
    parts: fc.tuple(interims, head(STATUS, framing), body, NEXT),
    noise: fc.oneof({ arbitrary: fc.constant([]), weight: 5 }, { arbitrary: noise, weight: 1 }),
    method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST'),
    upgrade: fc.constantFrom(undefined, undefined, 'websocket'),
    closed: fc.boolean(),
    places: fc.array(fc.nat(300), { maxLength: 6 }),
  })
  .map(({ parts, noise: changes, method, upgrade, closed, places }) => {
    const bytes = Buffer.from(parts.join(''), 'latin1');
    for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
    const situation: Situation = { method, closed };
    if (upgrade !== undefined) situation.upgrade = upgrade;
    return { bytes, situation, places };
  });
