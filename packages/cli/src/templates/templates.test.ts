import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LOCAL_DEV } from '@islet/db';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { doneShare } from './build.ts';
import { callApi, findApi } from './connection.ts';
import { findDockerfile } from './dockerfile.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-cli-templates-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('what a template is built from', () => {
  it('is a Dockerfile, or the one in a folder, if the official name comes first', async () => {
    await writeFile(join(dir, 'Dockerfile'), 'FROM a');
    expect(await findDockerfile(dir)).toEqual({
      dockerfile: join(dir, 'Dockerfile'),
      content: 'FROM a',
      contextDir: dir,
    });
    await writeFile(join(dir, 'e2b.Dockerfile'), 'FROM b');
    expect((await findDockerfile(dir)).content).toBe('FROM b');
    expect((await findDockerfile(join(dir, 'Dockerfile'))).content).toBe('FROM a');
  });

  it('is said to be missing if it is', async () => {
    await expect(findDockerfile(dir)).rejects.toThrow(`there is no e2b.Dockerfile or Dockerfile in ${dir}`);
    await expect(findDockerfile(join(dir, 'no'))).rejects.toThrow('neither a Dockerfile nor a folder');
  });
});

it('tells how far a build is from what it says', () => {
  expect(doneShare('[builder 1/3] RUN make')).toBe(0);
  expect(doneShare('CACHED [builder 3/3] RUN make [abc]')).toBe(0.5);
  expect(doneShare('Building template x')).toBeUndefined();
});

describe('the API that a command calls', () => {
  it('is the one named, with the key named, else the seeded one', async () => {
    const flags = { 'api-url': 'http://example.org/' };
    expect(await findApi({ flags, env: {} })).toEqual({
      apiUrl: 'http://example.org',
      apiKey: LOCAL_DEV.apiKey,
    });
    const env = { E2B_API_URL: 'http://other.example.org', E2B_API_KEY: 'e2b_ab' };
    expect(await findApi({ flags: {}, env })).toEqual({
      apiUrl: 'http://other.example.org',
      apiKey: 'e2b_ab',
    });
    await expect(findApi({ flags, env: { E2B_API_KEY: 'secret' } })).rejects.toThrow(
      /^E2B_API_KEY must be a key[^"]*$/,
    );
  });

  it('is said not to run if it does not', async () => {
    await expect(findApi({ flags: { 'data-dir': dir }, env: {} })).rejects.toThrow('no Islet runs');
    await expect(findApi({ flags: { 'data-dir': join(dir, 'none') }, env: {} })).rejects.toThrow(
      'no Islet runs',
    );
    await expect(callApi({ apiUrl: 'http://127.0.0.1:1', apiKey: '' }, 'GET', '/')).rejects.toThrow(
      'no API answers at http://127.0.0.1:1',
    );
  });

  it('speaks for itself if it refuses', async () => {
    const server = createServer((request, response) => {
      const refused = request.url === '/no';
      response.writeHead(refused ? 404 : 204).end(refused ? '{"code":404,"message":"there is none"}' : '');
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      expect(await callApi({ apiUrl, apiKey: 'k' }, 'DELETE', '/yes')).toBeUndefined();
      await expect(callApi({ apiUrl, apiKey: 'k' }, 'DELETE', '/no')).rejects.toThrow(
        'the API answered 404: there is none',
      );
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
