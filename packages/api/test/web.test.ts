import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { parseHostPattern, parseOriginPattern } from '@islet/contracts';
import { LOCAL_DEV } from '@islet/db';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, openTestDatabase, startHarness } from './harness.ts';

let database: Awaited<ReturnType<typeof openTestDatabase>>;
/** As `islet up` starts it by default. */
let local: Harness;
/** With what an operator named. */
let named: Harness;
const APP = 'https://app.example.com';

beforeAll(async () => {
  database = await openTestDatabase();
  local = await startHarness({ db: database.db });
  named = await startHarness({
    db: database.db,
    web: {
      hosts: ['islet.example.com', '*.sandboxes.example'].map(parseHostPattern),
      origins: [APP, 'http://localhost:5173'].map(parseOriginPattern),
    },
  });
});
afterAll(async () => {
  await Promise.all([local.close(), named.close()]);
  await database.remove();
});

interface RawAnswer {
  status: number;
  head: string;
  body: string;
}

/** A request with exactly these fields: `fetch` would not let a test set Host. */
async function raw(
  api: Harness,
  method: string,
  path: string,
  fields: string[],
  body = '',
): Promise<RawAnswer> {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  const answered = text(socket);
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  socket.write(
    `${[`${method} ${path} HTTP/1.1`, ...fields, ...length, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`,
  );
  const answer = await answered;
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  return { status: Number(head.split(' ')[1]), head, body: rest.join('\r\n\r\n') };
}

const KEY = `X-API-Key: ${LOCAL_DEV.apiKey}`;
const created = async (api: Harness) => (await api.call('GET', '/sandboxes')).body.length as number;

describe('a page that was not named', () => {
  it.each([
    'https://evil.example',
    'http://localhost.evil.com',
    'http://localhost:3000.evil.com',
    'http://localhost@evil.com',
    // The pages of sandboxes, and of what else runs on this machine.
    'http://3000-iabcdef.localhost:3002',
    'http://3000-iabcdef.islet.localhost:3002',
    'https://3000-iabcdef.islet.localhost:3002',
    'https://islet.localhost:3002',
    'http://localhost:3002',
    'http://localhost:5174',
    'https://localhost:5173',
    'HTTP://EVIL.EXAMPLE',
    'http://127.0.0.1',
    'http://[::1]:1',
    'null',
    'file://',
    'chrome-extension://abcdefghijklmnop',
    '',
    ' ',
    `${APP}.evil.com`,
    `${APP}, https://evil.example`,
  ])('%j makes nothing happen, knowing the key, with and without a preflight', async (origin) => {
    for (const api of [local, named]) {
      const before = await created(api);
      const preflight = await raw(api, 'OPTIONS', '/sandboxes', [
        'Host: localhost',
        `Origin: ${origin}`,
        'Access-Control-Request-Method: POST',
        'Access-Control-Request-Headers: x-api-key',
        'Access-Control-Request-Private-Network: true',
      ]);
      const simple = await raw(
        api,
        'POST',
        '/sandboxes',
        ['Host: localhost', `Origin: ${origin}`, KEY, 'Content-Type: application/x-www-form-urlencoded'],
        '{"templateID":"base"}',
      );
      const read = await raw(api, 'GET', '/sandboxes', ['Host: localhost', `Origin: ${origin}`, KEY]);
      for (const answer of [preflight, simple, read]) {
        expect(answer.status).toBe(403);
        expect(answer.head.toLowerCase()).not.toContain('access-control-');
      }
      expect(await created(api)).toBe(before);
    }
  });

  it('is told which option lets it in', async () => {
    const { body } = await raw(local, 'GET', '/sandboxes', [
      'Host: localhost',
      'Origin: https://Evil.example:444',
    ]);
    expect(JSON.parse(body)).toEqual({
      code: 403,
      message: expect.stringContaining('--allow-origin https://evil.example:444 '),
    });
  });

  it('is refused also if the browser does not say which it is', async () => {
    for (const site of ['cross-site', 'same-site', 'anything-else']) {
      const fields = ['Host: localhost', KEY, `Sec-Fetch-Site: ${site}`];
      const answer = await raw(named, 'POST', '/sandboxes', fields, '{"templateID":"base"}');
      expect(answer).toMatchObject({ status: 403, body: expect.stringContaining('--allow-origin') });
      expect((await raw(named, 'DELETE', '/sandboxes/iabc', fields)).status).toBe(403);
      // Following a link is no call, and brings no key.
      expect((await raw(named, 'GET', '/health', fields)).status).toBe(200);
    }
  });

  it('never is any other than one that was named', async () => {
    const domain = fc.domain().filter((name) => `https://${name}` !== APP);
    await fc.assert(
      fc.asyncProperty(
        domain,
        fc.constantFrom('http', 'https'),
        fc.nat(65_535),
        async (name, scheme, port) => {
          for (const origin of [`${scheme}://${name}`, `${scheme}://${name}:${port}`]) {
            const answer = await raw(named, 'GET', '/health', ['Host: localhost', `Origin: ${origin}`]);
            expect([origin, answer.status]).toEqual([origin, 403]);
          }
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('a page that was named', () => {
  const headers = { Origin: APP };

  it('calls with the headers of the SDKs', async () => {
    const preflight = await named.call('OPTIONS', '/v2/sandboxes', {
      key: null,
      headers: {
        ...headers,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'x-api-key,content-type',
        'Access-Control-Request-Private-Network': 'true',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(APP);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('X-API-Key');
    expect(preflight.headers.get('access-control-allow-methods')).toContain('DELETE');
    expect(preflight.headers.get('access-control-allow-private-network')).toBe('true');
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
    const answer = await named.call('POST', '/sandboxes', { headers, body: { templateID: 'base' } });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('access-control-allow-origin')).toBe(APP);
    expect(answer.headers.get('access-control-expose-headers')).toContain('X-Next-Token');
    expect(answer.headers.get('vary')).toContain('Origin');
  });

  it('can read errors: of the key, of the route, of the body', async () => {
    for (const [method, path, options] of [
      ['GET', '/v2/sandboxes', { key: null }],
      ['GET', '/nothing', {}],
      ['POST', '/sandboxes', { raw: '{' }],
    ] as const) {
      const answer = await named.call(method, path, { ...options, headers });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.headers.get('access-control-allow-origin')).toBe(APP);
    }
  });

  it('is any if the operator says so', async () => {
    const open = await startHarness({ db: database.db, web: { hosts: [], origins: [{ kind: 'any' }] } });
    try {
      for (const origin of ['https://evil.example', 'null']) {
        const { status, headers } = await open.call('GET', '/sandboxes', { headers: { Origin: origin } });
        expect([status, headers.get('access-control-allow-origin')]).toEqual([200, origin]);
      }
    } finally {
      await open.close();
    }
  });

  it('is one of the API itself on this machine', async () => {
    const { port } = new URL(local.url);
    for (const host of ['localhost', '127.0.0.1', '[::1]']) {
      const { status } = await local.call('GET', '/sandboxes', {
        headers: { Origin: `http://${host}:${port}` },
      });
      expect(status).toBe(200);
    }
  });
});

describe('programs', () => {
  it('need no origin, and the protocol no preflight', async () => {
    expect((await raw(local, 'GET', '/sandboxes', ['Host: localhost', KEY])).status).toBe(200);
    expect((await raw(local, 'OPTIONS', '/sandboxes', ['Host: localhost'])).status).toBe(204);
    for (const site of ['none', 'same-origin']) {
      const fields = ['Host: localhost', KEY, 'Content-Type: application/json', `Sec-Fetch-Site: ${site}`];
      expect((await raw(local, 'POST', '/sandboxes', fields, '{"templateID":"base"}')).status).toBe(201);
    }
  });
});

describe('a name that is not the API’s', () => {
  it.each(['evil.example', 'localhost.evil.com', '127.0.0.1.evil.com', 'EVIL.EXAMPLE:3000', 'api', '1.2.3'])(
    'is refused before the key is looked at: %s',
    async (host) => {
      for (const fields of [
        [`Host: ${host}`, KEY],
        [`Host: ${host}`, KEY, `Origin: http://${host}`],
      ]) {
        const answer = await raw(local, 'POST', '/sandboxes', fields, '{"templateID":"base"}');
        expect(answer.status).toBe(403);
        expect(answer.body).toContain(`--allow-host ${host.replace(':3000', '').toLowerCase()}`);
      }
    },
  );

  it.each([
    '',
    'user@localhost',
    'localhost:0',
    'localhost:99999',
    'a b',
    'localhost,evil',
    '[::1',
    '[fe80::1%25eth0]',
  ])('is no name at all: %j', async (host) => {
    expect((await raw(local, 'GET', '/health', [`Host: ${host}`])).status).toBe(400);
  });

  it('is none of this machine’s, nor one that was named', async () => {
    for (const host of [
      ...['localhost', 'LOCALHOST:3000', 'localhost.', 'islet.localhost:3000', '127.0.0.1', '127.4.5.6:80'],
      ...['[::1]', '[0:0:0:0:0:0:0:1]:3000', '192.168.1.5:3000', '[2001:db8::5]:3000', '0.0.0.0:3000'],
    ]) {
      expect([host, (await raw(local, 'GET', '/health', [`Host: ${host}`])).status]).toEqual([host, 200]);
    }
    for (const host of ['Islet.Example.com.', 'islet.example.com:443', 'api.sandboxes.example']) {
      expect([host, (await raw(named, 'GET', '/health', [`Host: ${host}`])).status]).toEqual([host, 200]);
      expect((await raw(local, 'GET', '/health', [`Host: ${host}`])).status).toBe(403);
    }
  });
});
