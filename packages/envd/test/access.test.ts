import { join } from 'node:path';
import { ENVD_VERSION, signFile } from '@islet/contracts';
import { Sandbox } from 'e2b';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
beforeEach(async () => {
  daemon = await startTestDaemon();
});
afterEach(() => daemon?.stop());

/** Each later than the one before, which two readings of a clock need not be. */
let ticks = 0;
const now = () => `2026-01-01T00:00:00.${String(++ticks).padStart(9, '0')}Z`;

describe('a secured sandbox', () => {
  const token = 'secret-token';
  beforeEach(async () => {
    expect((await daemon.init({ accessToken: token, timestamp: now() })).status).toBe(204);
  });

  it.each([
    ['POST', '/process.Process/List'],
    ['POST', '/filesystem.Filesystem/Stat'],
    ['POST', '/files/compose'],
    ['GET', '/metrics'],
    ['GET', '/envs'],
    ['GET', '/nothing'],
    ['POST', '/health'],
  ])('refuses %s %s without its token and with another', async (method, path) => {
    for (const headers of [[], [['X-Access-Token', 'wrong']]] as [string, string][][]) {
      const response = await fetch(daemon.url + path, { method, headers });
      expect(response.status).toBe(401);
      expect(await response.json()).toEqual({
        code: 401,
        message: 'unauthorized access, please provide a valid access token or method signing if supported',
      });
    }
  });

  it('answers health checks and preflights of anybody', async () => {
    expect((await fetch(`${daemon.url}/health`)).status).toBe(204);
    const preflight = await fetch(`${daemon.url}/process.Process/Start`, {
      method: 'OPTIONS',
      headers: {
        Origin: 'https://example.com',
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'x-access-token,content-type',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    expect(preflight.headers.get('access-control-allow-methods')).toContain('DELETE');
    expect(preflight.headers.get('access-control-allow-headers')).toContain('x-access-token');
    expect(preflight.headers.get('access-control-max-age')).toBe('7200');
  });

  it('works with its token through the SDK', async () => {
    const secured = new Sandbox({
      sandboxId: 'test',
      envdVersion: ENVD_VERSION,
      envdAccessToken: token,
      sandboxUrl: daemon.url,
      apiKey: 'e2b_00',
    });
    const { stdout } = await secured.commands.run('echo in', { user: 'root' });
    expect(stdout).toBe('in\n');
    const path = join(daemon.directory, 'secured');
    await secured.files.write(path, 'text', { user: 'root' });
    expect(await secured.files.read(path)).toBe('text');
    expect(await (await fetch(await secured.downloadUrl(path, { useSignatureExpiration: 60 }))).text()).toBe(
      'text',
    );
    await expect(daemon.sandbox.commands.run('echo out')).rejects.toThrow(/401|unauth/i);
  });

  it('lets files through with the token or a signature, and tells what is wrong with others', async () => {
    const path = join(daemon.directory, 'signed file');
    const url = (query: Record<string, string>) =>
      `${daemon.url}/files?${new URLSearchParams({ path, ...query })}`;
    const seconds = Math.floor(Date.now() / 1000);
    const sign = (operation: 'read' | 'write', expiration?: number) =>
      signFile({ path, operation, username: '', envdAccessToken: token, ...(expiration && { expiration }) });
    const upload = await fetch(url({ signature: sign('write') }), {
      method: 'POST',
      headers: { 'Content-Type': 'application/octet-stream' },
      body: 'signed',
    });
    expect(upload.status).toBe(200);
    expect(await (await fetch(url({ signature: sign('read') }))).text()).toBe('signed');
    expect(await (await fetch(url({}), { headers: { 'X-Access-Token': token } })).text()).toBe('signed');
    const later = seconds + 60;
    expect(
      (await fetch(url({ signature: sign('read', later), signature_expiration: String(later) }))).status,
    ).toBe(200);

    const messageOf = async (response: Promise<Response>) => {
      const answer = await response;
      return `${answer.status} ${((await answer.json()) as { message: string }).message}`;
    };
    expect(await messageOf(fetch(url({})))).toBe('401 missing signature query parameter');
    expect(await messageOf(fetch(url({ signature: sign('write') })))).toBe('401 invalid signature');
    expect(
      await messageOf(
        fetch(url({ signature: sign('read', later), signature_expiration: String(later + 1) })),
      ),
    ).toBe('401 invalid signature');
    const earlier = seconds - 60;
    expect(
      await messageOf(
        fetch(url({ signature: sign('read', earlier), signature_expiration: String(earlier) })),
      ),
    ).toBe('401 signature is already expired');
    expect(
      await messageOf(fetch(url({ signature: sign('read') }), { headers: { 'X-Access-Token': 'wrong' } })),
    ).toBe('401 access token present in header but does not match');
  });

  it('changes its token only for those who know the current one', async () => {
    const status = async (body: object, headers = {}) =>
      (await daemon.init({ timestamp: now(), ...body }, headers)).status;
    expect(await status({ accessToken: 'other' })).toBe(401);
    expect(await status({})).toBe(401);
    expect(await status({ accessToken: 'other' }, { 'X-Access-Token': 'wrong' })).toBe(401);
    expect(await status({ accessToken: token })).toBe(204);
    expect(await status({ accessToken: 'other' }, { 'X-Access-Token': token })).toBe(204);
    expect((await fetch(`${daemon.url}/envs`, { headers: { 'X-Access-Token': token } })).status).toBe(401);
    expect((await fetch(`${daemon.url}/envs`, { headers: { 'X-Access-Token': 'other' } })).status).toBe(200);
    expect(await status({}, { 'X-Access-Token': 'other' })).toBe(204);
    expect((await fetch(`${daemon.url}/envs`)).status).toBe(200);
  });
});
