import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RequestHead, readRequestHead } from './request-head.ts';
import { MOST_HEAD_BYTES, type RequestPart, RequestStream } from './request-stream.ts';

const head = (text: string) =>
  readRequestHead(Buffer.from(`${text.replaceAll('\n', '\r\n')}\r\n\r\n`, 'latin1'));
const get = (more: string) => head(`GET / HTTP/1.1\n${more}`);

describe('the head of a request', () => {
  it('asks for its Host, without the port', () => {
    expect(get('Host: A.Example:80')).toMatchObject({ name: 'a.example', isTunnel: false });
    expect(get('hOsT:  a.example. \t')).toMatchObject({ name: 'a.example' });
    expect(head('OPTIONS * HTTP/1.1\nHost: a.example')).toMatchObject({ name: 'a.example' });
  });

  it('may ask for none', () => {
    for (const text of [
      'Accept: x',
      'Host:',
      'Host: 1.2.3.4',
      'Host: [::1]:80',
      'Host: 2130706433',
      'Host: a b',
    ]) {
      expect(get(text)).toMatchObject({ name: undefined });
    }
    expect(head('GET / HTTP/1.0')).toMatchObject({ name: undefined });
  });

  it('in absolute form asks for the same twice, or is refused', () => {
    expect(head('GET http://a.example/x HTTP/1.1\nHost: a.example')).toMatchObject({ name: 'a.example' });
    expect(head('GET http://A.example:80 HTTP/1.1\nHost: a.example')).toMatchObject({ name: 'a.example' });
    expect(head('GET http://a.example/ HTTP/1.1\nHost: b.example')).toBeUndefined();
    expect(head('GET http://1.2.3.4/ HTTP/1.1\nHost: 1.2.3.5')).toBeUndefined();
    expect(head('GET http://b@a.example/ HTTP/1.1\nHost: a.example')).toBeUndefined();
    expect(head('GET ftp://a.example/ HTTP/1.1\nHost: a.example')).toBeUndefined();
  });

  it('with CONNECT asks for a tunnel, and for no name', () => {
    expect(head('CONNECT a.example:443 HTTP/1.1\nHost: a.example')).toMatchObject({
      isTunnel: true,
      name: undefined,
    });
  });

  it.each([
    'Host: a.example\nHost: a.example',
    'Host: a.example\nHost: b.example',
    'Host : a.example',
    ' Host: a.example',
    'Host: a.example\n folded',
    'Host: a@b.example',
    'Host: a.example\nContent-Length: 1\nContent-Length: 1',
    'Host: a.example\nContent-Length: +1',
    'Host: a.example\nContent-Length: 1, 1',
    'Host: a.example\nContent-Length: 1\nTransfer-Encoding: chunked',
    'Host: a.example\nTransfer-Encoding: gzip, chunked',
    'Host: a.example\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked',
    'Host: a.example\nTransfer-Encoding: identity',
    'Host: a\rb',
    'Host: a\0b',
  ])('that servers could disagree about is none: %j', (more) => {
    expect(get(more)).toBeUndefined();
  });

  it.each([
    'GET  / HTTP/1.1',
    'GET / HTTP/2.0',
    'GET /',
    'GET x HTTP/1.1',
    'G(T / HTTP/1.1',
    'GET / HTTP/1.1 ',
  ])('begins with a line in order: %j', (line) => {
    expect(head(`${line}\nHost: a.example`)).toBeUndefined();
  });

  it('may ask for another protocol, but not for h2c', () => {
    const upgrade = (to: string) => get(`Host: a.example\nConnection: keep-alive, Upgrade\nUpgrade: ${to}`);
    expect(upgrade('websocket')?.asksForUpgrade).toBe(true);
    expect(upgrade('h2c')?.asksForUpgrade).toBe(false);
    expect(upgrade('websocket, H2C')?.asksForUpgrade).toBe(false);
    expect(get('Host: a.example\nUpgrade: websocket')?.asksForUpgrade).toBe(false);
  });
});

/** What a stream makes of some bytes that come in pieces; parts of a body are put together. */
function parts(text: string, pieces: readonly number[] = [text.length]): { is: string; text: string }[] {
  const stream = new RequestStream();
  const found: { is: string; text: string }[] = [];
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = pieces[i % pieces.length] as number;
    stream.push(Buffer.from(bytes.subarray(at, at + length)));
    at += length;
    for (let part = stream.next(); part; part = stream.next()) add(found, part);
  }
  return found;
}

function add(found: { is: string; text: string }[], part: RequestPart): void {
  const text = part.bytes.toString('latin1');
  const last = found.at(-1);
  if (part.is !== 'head' && last?.is === part.is) last.text += text;
  else found.push({ is: part.is, text });
}

const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n';
const CHUNKED = 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n';

describe('a stream of requests', () => {
  it.each([
    [
      'requests behind each other',
      [
        ['head', GET],
        ['head', GET],
      ],
    ],
    [
      'a body of a length',
      [
        ['head', POST],
        ['body', 'GET /'],
        ['head', GET],
      ],
    ],
    [
      'an empty line between',
      [
        ['head', GET],
        ['head', `\r\n${GET}`],
      ],
    ],
    [
      'a body in chunks',
      [
        ['head', CHUNKED],
        ['body', '5;x=1\r\nGET /\r\n0\r\n\r\n'],
        ['head', GET],
      ],
    ],
    [
      'fields behind chunks',
      [
        ['head', CHUNKED],
        ['body', 'a\r\n0123456789\r\n0\r\nHost: b.example\r\n\r\n'],
        ['head', GET],
      ],
    ],
    [
      'a chunk that ends elsewhere',
      [
        ['head', CHUNKED],
        ['body', '1\r\nx'],
        ['broken', `y\r\n${GET}`],
      ],
    ],
    [
      'a chunk whose line ends otherwise',
      [
        ['head', CHUNKED],
        ['broken', '1\nx\r\n0\r\n\r\n'],
      ],
    ],
    [
      'a chunk without a size',
      [
        ['head', CHUNKED],
        ['broken', 'x\r\n'],
      ],
    ],
    [
      'a size with a sign',
      [
        ['head', CHUNKED],
        ['broken', '+1\r\nx\r\n0\r\n\r\n'],
      ],
    ],
    ['HTTP/2 that was not asked for', [['broken', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']]],
    ['a head with other ends of lines', [['broken', 'GET / HTTP/1.1\nHost: a.example\r\n\r\n']]],
    ['something else', [['broken', '\x16\x03\x01']]],
  ] as [string, [string, string][]][])('tells %s apart, in any pieces', (_what, expected) => {
    const text = expected.map(([, part]) => part).join('');
    const wanted = expected.map(([is, part]) => ({ is, text: part }));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (pieces) => {
        expect(parts(text, pieces)).toEqual(wanted);
      }),
      { numRuns: 50 },
    );
    expect(parts(text, [1])).toEqual(wanted);
  });

  it('gives a head up that is too long, wherever it ends', () => {
    const filler = `X: ${'y'.repeat(MOST_HEAD_BYTES)}\r\n`;
    expect(parts(`GET / HTTP/1.1\r\n${filler}\r\n`)).toMatchObject([{ is: 'broken' }]);
    expect(parts(`GET / HTTP/1.1\r\n${filler}`, [1000])).toMatchObject([{ is: 'broken' }]);
  });

  it('gives out every byte that came, in order, whatever comes', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        GET,
        POST,
        CHUNKED,
        'hello',
        '5\r\nabcde\r\n',
        '0\r\n\r\n',
        '\r\n',
        '\n',
        'PRI * HTTP/2.0\r\n\r\n',
      ),
      fc.string({ maxLength: 20 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        (texts, pieces) => {
          const text = texts.join('');
          const stream = new RequestStream();
          const bytes = Buffer.from(text);
          let out = '';
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const length = pieces[i % pieces.length] as number;
            stream.push(Buffer.from(bytes.subarray(at, at + length)));
            at += length;
            for (let part = stream.next(); part; part = stream.next()) out += part.bytes.toString('latin1');
          }
          expect(out + stream.held.toString('latin1')).toBe(bytes.toString('latin1'));
        },
      ),
    );
  });

  it('says each head with what decides about it', () => {
    const stream = new RequestStream();
    stream.push(Buffer.from(GET + CHUNKED));
    const [first, second] = [stream.next(), stream.next()] as { head: RequestHead }[];
    expect(first?.head.framing).toEqual({ kind: 'none' });
    expect(second?.head.framing).toEqual({ kind: 'chunked' });
  });
});
