import { describe, expect, it } from 'vitest';
import { readUpConfig } from '../up/config.ts';
import { refuseUnknownFlags, stringArgs } from './args.ts';
import { OptionError } from './spec.ts';

const read = (flags: Record<string, unknown>, env: Record<string, string> = {}) =>
  readUpConfig({ flags, env });

describe('options of islet up', () => {
  it('have the ports and places that operators know', () => {
    expect(read({})).toMatchObject({
      dataDir: '/var/lib/islet',
      cacheDir: '/var/cache/islet',
      host: '127.0.0.1',
      apiPort: 3000,
      proxyPort: 3002,
      sandboxProxyPort: 5007,
      orchestratorPort: 5008,
      templateManagerPort: 5009,
      databaseUrl: undefined,
    });
  });

  it('come from the environment, and from flags before that', () => {
    const env = { ISLET_API_PORT: '4000', ISLET_PROXY_PORT: '4002', DATABASE_URL: 'postgres://u:p@h/db' };
    expect(read({ 'api-port': '0' }, env)).toMatchObject({
      apiPort: 0,
      proxyPort: 4002,
      databaseUrl: 'postgres://u:p@h/db',
    });
  });

  it('take an empty variable for one that is not set', () => {
    expect(read({}, { ISLET_API_PORT: '' }).apiPort).toBe(3000);
  });

  it.each([
    [{ 'api-port': '70000' }, {}, '--api-port must be a port, 0 to 65535, not "70000"'],
    [{ 'api-port': '3000x' }, {}, '--api-port must be a port, 0 to 65535, not "3000x"'],
    [{ 'api-port': '-1' }, {}, '--api-port must be a port, 0 to 65535, not "-1"'],
    [{ 'registry-allow': '10.0.0.0/8, x/8' }, {}, '--registry-allow must be addresses or networks'],
    [{}, { ISLET_HOST: 'example.com' }, 'ISLET_HOST must be an IP address'],
    [{}, { ISLET_DNS: '8.8.8.8, ::1' }, 'ISLET_DNS must be IPv4 addresses'],
    [{ domain: 'a_b' }, {}, '--domain must be a domain'],
    [{ 'debian-mirror': 'ftp://x' }, {}, '--debian-mirror must be an http:// or https:// address'],
    [{ 'log-level': 'loud' }, {}, '--log-level must be one of debug, info, warn, error, silent'],
    [{ 'tls-cert': '/a' }, {}, '--tls-cert and --tls-key belong together'],
    [{ 'data-dir': ' ' }, {}, '--data-dir must be a directory'],
  ])('are refused by name: %o %o', (flags, env, message) => {
    expect(() => read(flags as Record<string, unknown>, env as Record<string, string>)).toThrow(OptionError);
    expect(() => read(flags as Record<string, unknown>, env as Record<string, string>)).toThrow(message);
  });

  it('do not repeat a password in the message', () => {
    const attempt = () => read({}, { DATABASE_URL: 'mysql://root:hunter2@h/db' });
    expect(attempt).toThrow('DATABASE_URL must be a postgres:// address');
    expect(attempt).not.toThrow(/hunter2/);
  });

  it('accept several resolvers, a domain with a port, and localhost as a host', () => {
    const config = read({ dns: '1.1.1.1, 8.8.8.8', domain: 'Sandboxes.Example.com:8443', host: 'localhost' });
    expect(config).toMatchObject({
      dns: ['1.1.1.1', '8.8.8.8'],
      domain: 'sandboxes.example.com:8443',
      host: '127.0.0.1',
    });
  });
});

describe('flags that a command does not know', () => {
  const args = { ...stringArgs(['apiPort', 'dataDir']), json: { type: 'boolean' as const } };

  it('are refused with the nearest one that it does', () => {
    expect(() => refuseUnknownFlags(['--api-prot', '3000'], args)).toThrow(/did you mean --api-port\?/);
    expect(() => refuseUnknownFlags(['--wholly-different'], args)).toThrow(/see --help/);
  });

  it('are refused also where a value is given with =', () => {
    expect(() => refuseUnknownFlags(['--data-dri=/x'], args)).toThrow(/did you mean --data-dir\?/);
  });

  it('are told from values, and a flag without its value is refused', () => {
    expect(() => refuseUnknownFlags(['--data-dir', '-odd-name', '--json'], args)).not.toThrow();
    expect(() => refuseUnknownFlags(['--data-dir'], args)).toThrow('--data-dir needs a value');
    expect(() => refuseUnknownFlags(['--data-dir', '--json'], args)).toThrow('--data-dir needs a value');
  });
});
