import { readFileSync } from 'node:fs';
import type { EgressVerdict } from '@islet/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { suggest } from '../src/index.ts';
import type { Seen, Talk } from './agents/client.ts';
import { clientHello, inRecords } from './hello.ts';
import { NEIGHBOUR, openWorld, type World } from './world/world.ts';

const ONLY = { denyOut: ['0.0.0.0/0'] };
const RESET: Seen = { text: '', end: 'reset' };
/** Of nobody's: what the sandbox takes for the address of a name if somebody lies to it. */
const ELSEWHERE = '9.9.9.9';

// Network namespaces need root.
describe.runIf(process.getuid?.() === 0)('a sandbox behind the gateway', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld(`${process.pid}`);
  });
  afterAll(async () => await world?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    world.host.events.length = 0;
    await name('a.example', '1.1.1.1');
    await name('b.example', '5.5.5.5');
  });

  const name = (host: string, ...addresses: string[]) => world.internet.ask('name', host, addresses);
  const tls = (address: string, host?: string) => world.client.ask<Seen>('tls', address, host);
  const talk = (address: string, port: number, how: Talk = {}) =>
    world.client.ask<Seen>('talk', address, port, how);
  const say = (address: string, port: number, ...texts: string[]) =>
    talk(address, port, { sends: texts.map(base64), halfClose: true });
  const http = (address: string, host: string | undefined, line = 'GET / HTTP/1.1') =>
    say(address, 80, `${line}\r\n${host === undefined ? '' : `Host: ${host}\r\n`}Connection: close\r\n\r\n`);
  /** Of one run: those of others may come late. */
  const verdicts = (run = 'e') =>
    world.host.events
      .flatMap((event) => (event as { verdict?: EgressVerdict }).verdict ?? [])
      .filter(({ executionId }) => executionId === run);
  const pid = () => world.host.ask<number | null>('pid');
  const reachedAt = (address: string) => ({ text: expect.stringContaining(`"at":"${address}"`) });

  describe('by names', () => {
    beforeEach(() => world.allow({ ...ONLY, allowOut: ['a.example', '*.w.example'] }));

    it('reaches the servers of allowed ones, wherever it dials, and no others', async () => {
      expect(await tls(ELSEWHERE, 'A.example')).toMatchObject(reachedAt('1.1.1.1'));
      expect(await http(ELSEWHERE, 'a.example')).toMatchObject(reachedAt('1.1.1.1'));
      expect(await tls('1.1.1.1', 'b.example')).toEqual(RESET);
      expect(await http('1.1.1.1', 'b.example')).toEqual(RESET);
      expect(await tls(`::ffff:${ELSEWHERE}`, 'a.example')).toMatchObject(reachedAt('1.1.1.1'));
      expect(await tls('::ffff:1.1.1.1', 'b.example')).toEqual(RESET);
    });

    it('reaches what is below a wildcard, and not the name itself', async () => {
      await name('x.y.w.example', '5.5.5.5');
      await name('w.example', '5.5.5.5');
      expect(await tls(ELSEWHERE, 'x.y.w.example')).toMatchObject(reachedAt('5.5.5.5'));
      expect(await tls('5.5.5.5', 'w.example')).toEqual(RESET);
    });

    it('reaches nothing without one, nor by one on another port', async () => {
      expect(await tls('1.1.1.1')).toEqual(RESET);
      expect(await http('1.1.1.1', undefined)).toEqual(RESET);
      expect(await http('1.1.1.1', '1.1.1.1')).toEqual(RESET);
      expect(await talk('1.1.1.1', 22)).toEqual(RESET);
      expect(await say('1.1.1.1', 7, 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')).toEqual(RESET);
      expect(await say('1.1.1.1', 443, 'SSH-2.0-x\r\n')).toEqual(RESET);
    });

    it.each(['10.0.0.1', '127.0.0.1', '169.254.169.254', '172.31.0.1', '7.7.7.7', '0.0.0.0', '100.64.0.1'])(
      'reaches nothing at %s, which is not for sandboxes, by a name that leads there',
      async (address) => {
        const host = `n${address.replaceAll('.', '-')}.w.example`;
        await name(host, address);
        expect(await tls('1.1.1.1', host)).toEqual(RESET);
        expect(await http('1.1.1.1', host)).toEqual(RESET);
        await expect
          .poll(() => verdicts())
          .toContainEqual(expect.objectContaining({ serverName: host, matchType: 'always-denied' }));
      },
    );

    it('is not led elsewhere by a name that leads to two places, or to another one each time', async () => {
      await name('two.w.example', '10.0.0.1', '1.1.1.1');
      expect(await tls(ELSEWHERE, 'two.w.example')).toMatchObject(reachedAt('1.1.1.1'));
      await name('turns.w.example', '1.1.1.1');
      expect(await tls(ELSEWHERE, 'turns.w.example')).toMatchObject(reachedAt('1.1.1.1'));
      await name('turns.w.example', '127.0.0.1');
      // Either the answer that is kept, or the new one, which is denied.
      const second = await tls(ELSEWHERE, 'turns.w.example');
      if (second.end !== 'reset') expect(second).toMatchObject(reachedAt('1.1.1.1'));
      expect(await tls(ELSEWHERE, 'nobody.w.example')).toEqual(RESET);
    });

    it('speaks TLS in any pieces', async () => {
      const hello = await clientHello({ servername: 'a.example' });
      // The server answers with its own hello, which begins so.
      const answered = { text: expect.stringContaining('\x16\x03') };
      const bytes = [...hello].map((byte) => Buffer.from([byte]).toString('base64'));
      const until = '\x16\x03';
      expect(await talk(ELSEWHERE, 443, { sends: bytes, pauseMs: 1, until })).toMatchObject(answered);
      const records = inRecords(hello, 7).toString('base64');
      expect(await talk(ELSEWHERE, 443, { sends: [records], until })).toMatchObject(answered);
      const other = inRecords(await clientHello({ servername: 'b.example' }), 7).toString('base64');
      expect(await talk('1.1.1.1', 443, { sends: [other], until })).toEqual(RESET);
    });

    it('sends requests in any pieces, and each is judged', async () => {
      const request = 'GET /one HTTP/1.1\r\nHost: a.example\r\n\r\n';
      const other = 'GET /two HTTP/1.1\r\nHost: b.example\r\n\r\n';
      const bytes = [...request].map(base64);
      const slow = await talk(ELSEWHERE, 80, { sends: bytes, pauseMs: 1, until: '/one' });
      expect(slow).toMatchObject(reachedAt('1.1.1.1'));
      const same = await talk(ELSEWHERE, 80, {
        ...{ sends: [request, request].map(base64), afterText: '/one', halfClose: true },
      });
      expect(same.text.match(/"at":"1.1.1.1"/g)).toHaveLength(2);
      const changed = await talk(ELSEWHERE, 80, { sends: [request, other].map(base64), afterText: '/one' });
      expect(changed).toMatchObject({ end: 'reset', text: expect.stringContaining('/one') });
      expect(changed.text).not.toContain('/two');
      const pipelined = await talk(ELSEWHERE, 80, { sends: [base64(request + other)] });
      expect(pipelined.text).not.toContain('/two');
      const none = 'GET /two HTTP/1.1\r\nHost: 1.1.1.1\r\n\r\n';
      expect((await talk(ELSEWHERE, 80, { sends: [base64(request + none)] })).text).not.toContain('/two');
    });

    it('hides no request in the body of another', async () => {
      const other = 'GET /two HTTP/1.1\r\nHost: b.example\r\n\r\n';
      const post = (fields: string, body: string) =>
        `POST /one HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n\r\n${body}`;
      const within = await say(ELSEWHERE, 80, post(`Content-Length: ${other.length}`, other));
      expect(within).toMatchObject({ text: expect.stringContaining('/one'), end: 'ended' });
      for (const hidden of [
        post('Content-Length: 5', `hello${other}`),
        post('Transfer-Encoding: chunked', `0\r\n\r\n${other}`),
        post('Transfer-Encoding: chunked\r\nContent-Length: 4', `0\r\n\r\n${other}`),
        post('Transfer-Encoding : chunked', `0\r\n\r\n${other}`),
        post('Content-Length: 0\r\nContent-Length: 5', `hello${other}`),
      ]) {
        const { text } = await talk(ELSEWHERE, 80, { sends: [base64(hidden)] });
        expect(text).not.toContain('/two');
      }
    });

    it('asks in absolute form for what it asks for anyway', async () => {
      expect(await http(ELSEWHERE, 'a.example', 'GET http://a.example/x HTTP/1.1')).toMatchObject(
        reachedAt('1.1.1.1'),
      );
      expect(await http('1.1.1.1', 'a.example', 'GET http://b.example/ HTTP/1.1')).toEqual(RESET);
      expect(await http('1.1.1.1', 'b.example', 'GET http://a.example/ HTTP/1.1')).toEqual(RESET);
    });

    it('opens no tunnel, and speaks no HTTP/2 that is not asked for', async () => {
      expect(await http(ELSEWHERE, 'a.example', 'CONNECT a.example:80 HTTP/1.1')).toEqual(RESET);
      expect(await say('1.1.1.1', 80, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).toEqual(RESET);
    });

    it('goes on in another protocol when the server does, and not before', async () => {
      const upgrade = 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
      const other = 'GET /two HTTP/1.1\r\nHost: b.example\r\n\r\n';
      const echoed = await talk(ELSEWHERE, 80, { sends: [base64(upgrade + other)], until: '/two' });
      expect(echoed.text).toMatch(/^HTTP\/1.1 101 .*\r\n\r\nGET \/two/s);
      const h2c = upgrade.replace('Upgrade: x', 'Upgrade: h2c');
      expect((await talk(ELSEWHERE, 80, { sends: [base64(h2c + other)] })).text).not.toContain('/two');
    });

    it('does not keep the gateway waiting', async () => {
      const [hello, head] = await Promise.all([
        talk('1.1.1.1', 443, { sends: [base64('\x16\x03\x01')], ms: 15_000 }),
        talk('1.1.1.1', 80, { sends: [base64('GET / HTTP/1.1\r\nHost: a.exam')], ms: 15_000 }),
      ]);
      expect([hello, head]).toEqual([RESET, RESET]);
    });
  });

  describe('by addresses', () => {
    it('reaches those that are allowed, whoever speaks first, whatever is spoken', async () => {
      await world.allow({ ...ONLY, allowOut: ['1.1.1.0/24'] });
      expect(await talk('1.1.1.1', 22, { until: '\n' })).toMatchObject({ text: 'welcome at 1.1.1.1\n' });
      expect(await tls('1.1.1.1', 'whoever.example')).toMatchObject(reachedAt('1.1.1.1'));
      expect(await tls('1.1.1.1')).toMatchObject(reachedAt('1.1.1.1'));
      expect(await http('1.1.1.1', undefined, 'GET / HTTP/1.0')).toMatchObject(reachedAt('1.1.1.1'));
      expect(await http('1.1.1.1', 'a.example', 'CONNECT x.example:1 HTTP/1.1')).toMatchObject({
        text: expect.stringContaining('tunnel to x.example:1'),
      });
      expect(await talk('5.5.5.5', 22)).toEqual(RESET);
      expect(await tls('5.5.5.5', 'whoever.example')).toEqual(RESET);
    });

    it('reaches all that is not denied, and an allowed one all the same', async () => {
      await world.allow({ denyOut: ['1.1.1.1', '5.5.5.0/24'], allowOut: ['5.5.5.5'] });
      expect(await talk('1.1.1.1', 22)).toEqual(RESET);
      expect(await talk('5.5.5.5', 22, { until: '\n' })).toMatchObject({ text: 'welcome at 5.5.5.5\n' });
      expect(await talk(ELSEWHERE, 22, { until: '\n' })).toMatchObject({ text: 'welcome at 9.9.9.9\n' });
      await world.allow({ allowInternetAccess: false, denyOut: ['1.1.1.1'], allowOut: ['1.1.1.1'] });
      expect(await talk('1.1.1.1', 22, { until: '\n' })).toMatchObject({ text: 'welcome at 1.1.1.1\n' });
      expect(await talk(ELSEWHERE, 22)).toEqual(RESET);
    });

    it('never reaches what no sandbox may', async () => {
      await world.allow({ allowOut: ['0.0.0.0/0', '*'] });
      for (const address of ['10.99.0.1', '172.31.0.1', '127.1.2.3', '7.7.7.7', '169.254.169.254']) {
        expect(await talk(address, 22)).toEqual(RESET);
      }
    });

    it('cannot go to an allowed name and ask there for another by an address that is allowed', async () => {
      await world.allow({ ...ONLY, allowOut: ['a.example', ELSEWHERE] });
      const [first, second] = ['a', 'b'].map(
        (host) => `GET /${host} HTTP/1.1\r\nHost: ${host}.example\r\n\r\n`,
      );
      const seen = await talk(ELSEWHERE, 80, { sends: [base64(`${first}${second}`)] });
      expect(seen.text).not.toContain('/b');
    });
  });

  it('ends its halves one after the other, and holds little of what is on its way', async () => {
    await world.allow({ denyOut: ['5.5.5.5'] });
    expect(await say('1.1.1.1', 7, 'all of this')).toEqual({ text: 'all of this', end: 'ended' });
    const before = peakMebibytes(await pid());
    expect(await world.client.ask('upload', '1.1.1.1', 9, 200)).toBe(String(200 * 1024 * 1024));
    expect(peakMebibytes(await pid()) - before).toBeLessThan(100);
  });

  it('loses connections that a new policy forbids, and those alone', async () => {
    await world.allow({ ...ONLY, allowOut: ['a.example', '5.5.5.5'] });
    const hello = await clientHello({ servername: 'a.example' });
    const hold = (address: string, port: number) => world.client.ask<number>('hold', address, port);
    const seen = (id: number) => world.client.ask<Seen>('seen', id);
    const [byName, byAddress] = [await hold(ELSEWHERE, 443), await hold('5.5.5.5', 22)];
    await world.client.ask('sendBytes', byName, hello.toString('base64'));
    await expect.poll(async () => (await seen(byName)).text.length).toBeGreaterThan(0);
    await expect.poll(async () => (await seen(byAddress)).text).toContain('welcome');
    await world.allow({ ...ONLY, allowOut: ['5.5.5.0/24', 'A.example'] });
    expect([(await seen(byName)).end, (await seen(byAddress)).end]).toEqual(['open', 'open']);
    // It went to where the name led, not to the address that is allowed now.
    await world.allow({ ...ONLY, allowOut: ['5.5.5.5', ELSEWHERE] });
    await expect.poll(async () => (await seen(byName)).end).toBe('reset');
    expect((await seen(byAddress)).end).toBe('open');
    // The same address, and another run of another sandbox.
    await world.allow({}, { executionId: 'next' });
    await expect.poll(async () => (await seen(byAddress)).end).toBe('reset');
    await world.host.ask('remove', '10.99.0.2');
    expect(await talk('1.1.1.1', 22)).toEqual(RESET);
  });

  describe("by the owner's proxy", () => {
    const proxy = { address: '8.8.8.8:1080' };
    const proxied = () => world.internet.ask<string[]>('proxied');
    beforeEach(proxied);

    it('goes by name if a name allows it, and by address otherwise', async () => {
      await world.allow({ ...ONLY, allowOut: ['a.example', '5.5.5.5'], proxy });
      expect(await tls(ELSEWHERE, 'a.example')).toMatchObject(reachedAt('1.1.1.1'));
      expect(await talk('5.5.5.5', 22, { until: '\n' })).toMatchObject({ text: 'welcome at 5.5.5.5\n' });
      expect(await talk('1.1.1.1', 22)).toEqual(RESET);
      expect(await proxied()).toEqual(['name a.example 443', 'address 5.5.5.5 22']);
    });

    it('logs in, and goes nowhere without', async () => {
      await world.allow({ proxy: { ...proxy, username: 'me', password: 'secret' } });
      expect(await talk('5.5.5.5', 22, { until: '\n' })).toMatchObject({ text: 'welcome at 5.5.5.5\n' });
      await world.allow({ proxy: { ...proxy, username: 'wrong', password: 'secret' } });
      expect(await talk('5.5.5.5', 22)).toEqual(RESET);
    });

    it('goes nowhere if it cannot be used', async () => {
      await name('inside.example', '172.31.0.2');
      for (const address of [
        '1.1.1.1:1',
        'nobody.example:1080',
        'inside.example:1080',
        '172.31.0.2:1080',
        '1.1.1.1:22',
      ]) {
        await world.allow({ proxy: { address } });
        expect(await talk('5.5.5.5', 22)).toEqual(RESET);
      }
      expect(await proxied()).toEqual([]);
    });
  });

  it('that learns reaches all, and what it reached is what is suggested', async () => {
    await world.allow({ learning: true }, { executionId: 'learning' });
    expect(await tls('1.1.1.1', 'a.example')).toMatchObject(reachedAt('1.1.1.1'));
    expect(await http('5.5.5.5', 'b.example')).toMatchObject(reachedAt('5.5.5.5'));
    expect(await talk(ELSEWHERE, 22, { until: '\n' })).toMatchObject({ text: 'welcome at 9.9.9.9\n' });
    await expect.poll(() => verdicts('learning').length).toBe(3);
    const rules = suggest(verdicts('learning'));
    expect(rules).toEqual({ allowOut: ['a.example', 'b.example', ELSEWHERE], denyOut: ['0.0.0.0/0'] });
    await world.allow(rules);
    expect(await tls('1.1.1.1', 'a.example')).toMatchObject(reachedAt('1.1.1.1'));
    expect(await tls('1.1.1.1', 'other.example')).toEqual(RESET);
  });

  it('finds out why', async () => {
    await world.allow({ ...ONLY, allowOut: ['*.Example'] }, { executionId: 'why' });
    await tls('1.1.1.1', 'a.example');
    await tls('1.1.1.1', 'a.example');
    await tls('1.1.1.1', 'a.test');
    await expect.poll(() => verdicts('why').reduce((sum, { connections }) => sum + connections, 0)).toBe(3);
    const said = { destinationIp: '1.1.1.1', destinationPort: 443, protocol: 'tcp' };
    expect(verdicts('why')).toContainEqual(
      expect.objectContaining({
        ...{ ...said, serverName: 'a.example', decision: 'allowed', matchType: 'domain', rule: '*.Example' },
      }),
    );
    expect(verdicts('why')).toContainEqual(
      expect.objectContaining({
        ...{ ...said, serverName: 'a.test', decision: 'denied', matchType: 'cidr', rule: '0.0.0.0/0' },
      }),
    );
  });

  it('that opens more than it may keeps no other one from reaching the world', async () => {
    await world.allow({ ...ONLY, allowOut: ['a.example'] });
    await world.allow(
      { ...ONLY, allowOut: ['a.example'] },
      { address: NEIGHBOUR, sandboxId: 'n', executionId: 'n' },
    );
    const ids = await world.client.ask<number[]>('holdMany', '1.1.1.1', 443, 400, NEIGHBOUR);
    await expect.poll(() => world.client.ask('countOf', ids, 'reset')).toBe(400 - 256);
    expect(await tls(ELSEWHERE, 'a.example')).toMatchObject(reachedAt('1.1.1.1'));
    await world.client.ask('drop', ids);
    await expect
      .poll(() => verdicts('n'))
      .toContainEqual(expect.objectContaining({ sandboxId: 'n', matchType: 'limit' }));
  });

  it('is cut off if the gateway dies, and back when it knows every policy', async () => {
    await world.allow({ ...ONLY, allowOut: ['a.example', '5.5.5.5'] });
    const held = await world.client.ask<number>('hold', '5.5.5.5', 22);
    await expect.poll(async () => (await world.client.ask<Seen>('seen', held)).text).toContain('welcome');
    const before = (await pid()) as number;
    process.kill(before, 'SIGKILL');
    // Waits, and is judged by the next one.
    const [denied, allowed] = await Promise.all([talk('1.1.1.1', 22), tls(ELSEWHERE, 'a.example')]);
    expect(denied).toEqual(RESET);
    expect(allowed).toMatchObject(reachedAt('1.1.1.1'));
    expect((await world.client.ask<Seen>('seen', held)).end).not.toBe('open');
    expect(await pid()).not.toBe(before);
  });

  it('has a gateway without rights, which ends with its node', async () => {
    const node = await world.secondHost();
    const gateway = await node.ask<number>('pid');
    const status = readFileSync(`/proc/${gateway}/status`, 'utf8');
    const of = (field: string) => new RegExp(`^${field}:[ \\t]*(.*)$`, 'm').exec(status)?.[1];
    expect(of('Uid')).not.toMatch(/\b0\b/);
    expect(of('Groups')?.trim()).toBe('');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) expect(of(set)).toBe('0'.repeat(16));
    expect(of('NoNewPrivs')).toBe('1');
    process.kill(node.pid, 'SIGKILL');
    await expect.poll(() => isThere(gateway)).toBe(false);
  });
});

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

function peakMebibytes(pid: number | null): number {
  return Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

function isThere(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('islet-egress');
  } catch {
    return false;
  }
}
