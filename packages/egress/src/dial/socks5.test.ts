import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SocksClient, type SocksStep } from './socks5.ts';

const LOGIN = { address: 'proxy.example:1080', username: 'me', password: 'secret' };
const to = { host: { name: 'a.example' }, port: 443 };
const bytes = (...values: (number | string)[]) =>
  Buffer.concat(
    values.map((value) => (typeof value === 'string' ? Buffer.from(value) : Buffer.from([value]))),
  );
const ADDRESS = [5, 0, 0, 1, 1, 2, 3, 4, 0, 80] as const;

/** What a client does with what the proxy sends, in pieces of so many bytes: its last step, and all that it sent. */
function run(
  client: SocksClient,
  answers: readonly Buffer[],
  piece: number,
): { last: SocksStep; sent: Buffer[] } {
  const sent: Buffer[] = [];
  let last: SocksStep = { is: 'more' };
  for (const answer of answers) {
    for (let at = 0; at < answer.length; at += piece) {
      last = client.push(answer.subarray(at, at + piece));
      if (last.is === 'send') sent.push(last.bytes);
      if (last.is === 'failed') return { last, sent };
    }
  }
  return { last, sent };
}

describe('a client of a proxy', () => {
  it('asks for a name with a login, whatever the pieces of the answers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), (piece) => {
        const client = new SocksClient(LOGIN, to);
        expect(client.greeting()).toEqual(bytes(5, 2, 0, 2));
        const { last, sent } = run(client, [bytes(5, 2), bytes(1, 0), bytes(...ADDRESS)], piece);
        expect(last).toEqual({ is: 'connected', rest: Buffer.alloc(0) });
        expect(sent).toEqual([
          bytes(1, 2, 'me', 6, 'secret'),
          bytes(5, 1, 0, 3, 9, 'a.example', 443 >> 8, 443 & 0xff),
        ]);
      }),
    );
  });

  it('asks for an address without one, and hands on what comes behind the answer', () => {
    const client = new SocksClient({ address: 'p:1' }, { host: { address: '1.2.3.4' }, port: 22 });
    expect(client.greeting()).toEqual(bytes(5, 1, 0));
    const { last, sent } = run(client, [bytes(5, 0), bytes(5, 0, 0, 3, 2, 'xy', 0, 1, 'SSH-2.0')], 100);
    expect(sent).toEqual([bytes(5, 1, 0, 1, 1, 2, 3, 4, 0, 22)]);
    expect(last).toEqual({ is: 'connected', rest: bytes('SSH-2.0') });
  });

  it.each([
    ['another protocol', [bytes('HTTP/1.1 400')], /SOCKS 5/],
    ['no way to log in', [bytes(5, 0xff)], /log in/],
    ['a login that was not offered', [bytes(5, 1)], /log in/],
    ['a refused login', [bytes(5, 2), bytes(1, 1)], /password/],
    ['a refusal', [bytes(5, 0), bytes(5, 2, 0, 1, 0, 0, 0, 0, 0, 0)], /does not allow/],
    ['an unknown kind of address', [bytes(5, 0), bytes(5, 0, 0, 9, 0, 0)], /no known kind/],
    ['an answer before the question', [bytes(5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0)], /not asked/],
  ])('fails at %s', (_what, answers, why) => {
    const { last } = run(new SocksClient(LOGIN, to), answers, 100);
    expect(last).toMatchObject({ is: 'failed', why: expect.stringMatching(why) });
  });

  it('is connected by nothing but an answer in order', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 30 })), (answers) => {
        const client = new SocksClient(LOGIN, to);
        const all = Buffer.concat(answers);
        for (const answer of answers) {
          if (client.push(answer).is === 'connected') expect(all[0]).toBe(5);
        }
      }),
    );
  });
});
