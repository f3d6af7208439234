import fc from 'fast-check';

/** What hosts there are to name. */
export interface Hosts {
  /** Of a sandbox that everybody reaches. */
  open: string;
  /** Of one that nobody reaches without its token. */
  closed: string;
}

/** One of the good ones in most cases. */
const mostly = (good: string[], odd: string[]) =>
  fc.oneof(
    { arbitrary: fc.constantFrom(...good), weight: 25 },
    { arbitrary: fc.constantFrom(...odd), weight: 1 },
  );
const join = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((texts) => texts.join(''));

const EOL = fc.oneof(
  { arbitrary: fc.constant('\r\n'), weight: 40 },
  { arbitrary: fc.constantFrom('\n', '\r', '\r\r\n', '\n\r\n', '\r\n ', '\r\n\t', ' \r\n'), weight: 1 },
);
const METHOD = mostly(
  ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'],
  ['get', 'G\tET', 'CONNECT', '', 'PRI', 'X'],
);
const VERSION = mostly(['HTTP/1.1'], ['HTTP/1.0', 'HTTP/2.0', 'HTTP/1.10', 'http/1.1', 'HTTP/0.9', '']);
const NAME = mostly(
  ['X-A', 'Accept', 'Cookie', 'Expect', 'X-Forwarded-Host'],
  ['X A', 'X\0', '', '\xe9', ' X', 'X:', '"X"'],
);
const VALUE = mostly(
  ['a', '', ' b ', '\t c', '\xff', '100-continue'],
  ['a\0', 'a\rb', 'a\nb', '\x7f', 'a\n b', 'a\r\n b'],
);
const LENGTH = mostly(
  ['0', '3', '5', '11'],
  ['05', ' 5', '5 ', '5, 5', '+5', '-5', '0x5', '5.0', '5e0', '\t5', '', '9'.repeat(20), '5;'],
);
const CODING = mostly(
  ['chunked'],
  [
    'Chunked',
    '\tchunked',
    'gzip, chunked',
    'chunked, chunked',
    'chunked, identity',
    'identity',
    'xchunked',
    '\x0bchunked',
    'chunked\0',
    '',
  ],
);
const spelled = (name: string) =>
  mostly(
    [name, name.toLowerCase(), name.toUpperCase()],
    [`${name} `, ` ${name}`, `${name}\t`, name.replace('-', '_')],
  );

const plain = join(NAME, fc.constantFrom(':', ': ', ':\t', ' : '), VALUE, EOL);
const hop = fc
  .constantFrom('close', 'keep-alive', 'content-length', 'transfer-encoding', 'host', 'upgrade', 'te', 'X-A')
  .map((token) => `Connection: ${token}\r\n`);
const other = fc.constantFrom(
  'Upgrade: h2c\r\n',
  'TE: trailers\r\n',
  'Keep-Alive: timeout=5\r\n',
  'Trailer: Host\r\n',
  'HTTP2-Settings: AA\r\n',
);
const field = fc.oneof(
  { arbitrary: plain, weight: 4 },
  { arbitrary: hop, weight: 2 },
  { arbitrary: other, weight: 1 },
);
const fields = fc.array(field, { maxLength: 2 }).map((all) => all.join(''));
const length = join(spelled('Content-Length'), fc.constantFrom(':', ': '), LENGTH, EOL);
const coding = join(spelled('Transfer-Encoding'), fc.constantFrom(':', ': '), CODING, EOL);
const framing = fc.oneof(
  { arbitrary: fc.constant(''), weight: 3 },
  { arbitrary: length, weight: 3 },
  { arbitrary: coding, weight: 3 },
  { arbitrary: join(length, coding), weight: 1 },
  { arbitrary: join(coding, length), weight: 1 },
  { arbitrary: join(length, length), weight: 1 },
);

const SIZE = mostly(
  ['3', '03', '3;a', '3;a=b', '3;a="b c"'],
  ['0', '3;', '3 ', ' 3', '3;a="\\""', '+3', '-3', '0x3', '3_', '3\t', '3;\n', '3\n', 'ffffffffffffffff3'],
);
const chunk = fc.oneof(
  { arbitrary: fc.constantFrom('5\r\nhello\r\n', '1\r\nx\r\n'), weight: 5 },
  { arbitrary: join(SIZE, EOL, mostly(['abc'], ['abcd', 'ab']), EOL), weight: 2 },
);
const chunked = join(
  fc.array(chunk, { maxLength: 3 }).map((all) => all.join('')),
  mostly(['0\r\n'], ['00\r\n', '0;x\r\n', '0\n', '']),
  fc.oneof({ arbitrary: fc.constant(''), weight: 4 }, { arbitrary: fields, weight: 1 }),
  mostly(['\r\n'], ['\n', '']),
);
const body = fc.oneof(
  { arbitrary: fc.constantFrom('', 'abc', 'hello', 'hello world'), weight: 3 },
  { arbitrary: chunked, weight: 3 },
);

function hostField({ open, closed }: Hosts): fc.Arbitrary<string> {
  const host = mostly(
    [open, open, open, closed],
    [
      `${open}, ${closed}`,
      ` ${open}`,
      `${open} `,
      `${open}:80`,
      `a@${open}`,
      `${closed}/../${open}`,
      '',
      'x',
      `${open}\t`,
      open.toUpperCase(),
    ],
  );
  const one = join(spelled('Host'), fc.constantFrom(':', ': '), host, EOL);
  return fc.oneof(
    { arbitrary: one, weight: 8 },
    { arbitrary: join(one, one), weight: 1 },
    { arbitrary: fc.constant(''), weight: 1 },
  );
}

function targetFor({ open, closed }: Hosts): fc.Arbitrary<string> {
  return mostly(
    ['/', '/a?b=c', '/a%20b'],
    [
      '*',
      '',
      '//x/y',
      '/a b',
      '/a\tb',
      '/#x',
      `http://${open}/abs`,
      `http://${closed}/abs`,
      `http://${open}`,
      `HTTPS://${closed}?x`,
      `http://a@${closed}/`,
      'ftp://x/',
      'x',
      '/\xff',
      '/\0',
      `${closed}:80`,
    ],
  );
}

/** What a client sends on one connection: some requests, most of them right, and such as an attacker would try. */
export function http1Requests(hosts: Hosts): fc.Arbitrary<Buffer> {
  const line = join(
    METHOD,
    mostly([' '], ['  ', '\t']),
    targetFor(hosts),
    mostly([' '], ['  ', '\t', '']),
    VERSION,
    EOL,
  );
  const matching = fc.oneof(
    {
      arbitrary: fc.constantFrom(['', ''], ['Content-Length: 5\r\n', 'hello'], ['Content-Length: 0\r\n', '']),
      weight: 6,
    },
    { arbitrary: fc.tuple(fc.constant('Transfer-Encoding: chunked\r\n'), chunked), weight: 4 },
    { arbitrary: fc.tuple(framing, body), weight: 3 },
  );
  const request = fc
    .tuple(join(line, fields, hostField(hosts)), matching, join(fields, EOL))
    .map(([front, [frames, text], back]) => `${front}${frames}${back}${text}`);
  const noise = fc.array(
    fc.tuple(fc.nat(300), fc.constantFrom(0, 9, 10, 11, 13, 32, 44, 48, 58, 59, 127, 255)),
    { maxLength: 2 },
  );
  return fc
    .tuple(
      fc.array(request, { minLength: 1, maxLength: 3 }),
      fc.oneof({ arbitrary: fc.constant([]), weight: 5 }, { arbitrary: noise, weight: 1 }),
    )
    .map(([requests, changes]) => {
      const bytes = Buffer.from(requests.join(''), 'latin1');
      for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
      return bytes;
    });
}
