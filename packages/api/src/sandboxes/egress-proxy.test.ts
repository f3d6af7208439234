import { describe, expect, it } from 'vitest';
import { checkEgressProxy, type ProxyRequest, parseEgressProxy } from './egress-proxy.ts';

describe('parseEgressProxy', () => {
  it('trims the address and writes it in lower case, and leaves out what is empty', () => {
    expect(parseEgressProxy({ address: ' Proxy.Example:1080 ', username: '', password: '' })).toMatchObject({
      address: 'proxy.example:1080',
    });
    expect(parseEgressProxy({ address: 'p:1', username: 'u', password: 'p' })).toMatchObject({
      username: 'u',
      password: 'p',
    });
    expect(parseEgressProxy(undefined)).toBeUndefined();
  });

  it.each<[ProxyRequest, string]>([
    [{}, 'egress proxy address must not be empty'],
    [{ address: '  ' }, 'egress proxy address must not be empty'],
    [
      { address: 'proxy' },
      'egress proxy address must be in host:port form: address proxy: missing port in address',
    ],
    [
      { address: 'a:b:1' },
      'egress proxy address must be in host:port form: address a:b:1: too many colons in address',
    ],
    [{ address: ':1080' }, 'egress proxy host must not be empty'],
    [{ address: '[]:1080' }, 'egress proxy host must not be empty'],
    ...['0', '65536', 'http', '', '-1', '1e3'].map(
      (port) =>
        [{ address: `proxy:${port}` }, `egress proxy port "${port}" is not a valid 1-65535 value`] as [
          ProxyRequest,
          string,
        ],
    ),
    [{ address: 'p:1', password: 'x' }, 'egress proxy password must be empty when username is empty'],
    [{ address: 'p:1', username: 'ä'.repeat(128) }, 'egress proxy username must not exceed 255 bytes'],
    [
      { address: 'p:1', username: 'u', password: 'x'.repeat(256) },
      'egress proxy password must not exceed 255 bytes',
    ],
  ])('refuses %j', (request, reason) => {
    expect(() => parseEgressProxy(request)).toThrow(
      expect.objectContaining({ status: 400, message: `Invalid egress proxy config: ${reason}` }),
    );
  });
});

describe('checkEgressProxy', () => {
  const check = (address: string) => checkEgressProxy(parseEgressProxy({ address }));

  it.each(['127.0.0.1', '10.0.0.1', '0.0.0.0', '169.254.169.254', '::1', 'fd00::1', '::ffff:10.0.0.1'])(
    'refuses %s, where no sandbox may reach',
    async (host) => {
      await expect(check(host.includes(':') ? `[${host}]:1080` : `${host}:1080`)).rejects.toThrow(
        `Invalid egress proxy config: egress proxy endpoint resolves to an internal / denied IP range: ${host} resolves to ${host}`,
      );
    },
  );

  it('refuses names of this machine and names of nobody', async () => {
    await expect(check('localhost:1080')).rejects.toThrow('localhost resolves to 127.0.0.1');
    await expect(check('nobody.invalid:1080')).rejects.toThrow(
      'Invalid egress proxy config: resolve egress proxy host "nobody.invalid": ',
    );
  });

  it('takes a public address', async () => {
    await expect(check('93.184.215.14:1080')).resolves.toBeUndefined();
    await expect(checkEgressProxy(undefined)).resolves.toBeUndefined();
  });
});
