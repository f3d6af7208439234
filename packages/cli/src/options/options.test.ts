import { isLoopbackHost, parseOriginPattern } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { JSON_FLAG } from '../command-line/flags.ts';
import { readWords } from '../command-line/words.ts';
import { readUpConfig } from '../up/config.ts';
import { webAccessOf } from '../up/web-access.ts';
import { OPTIONS, type OptionName } from './options.ts';
import { parseRedisPrefix, parseRedisUrl } from './parse.ts';
import { OptionError, readOption } from './spec.ts';

const read = (flags: Record<string, string | undefined>, env: Record<string, string> = {}) =>
  readUpConfig({ flags, env });

/** A command line of a command that takes these options. */
const readLine = (options: readonly OptionName[], ...words: string[]) =>
  readWords({ words: {}, flags: { json: JSON_FLAG }, options }, words);

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

  it('read a rate of requests', () => {
    expect(read({}).rateLimit).toEqual({ requests: 200, periodMs: 1_000, burst: 2_000 });
    expect(read({ 'rate-limit': '600/m' }).rateLimit).toEqual({
      requests: 600,
      periodMs: 60_000,
      burst: 600,
    });
    expect(read({}).keyRateLimit).toBe('none');
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
    [{ 'allow-host': 'a:80' }, {}, '--allow-host must be host names'],
    [{}, { ISLET_ALLOW_ORIGIN: 'https://a, null' }, 'ISLET_ALLOW_ORIGIN must be origins'],
    [{ 'local-dev-key': 'maybe' }, {}, '--local-dev-key must be on or off'],
    [{ 'local-dev-key': 'on', host: '0.0.0.0' }, {}, '--local-dev-key and --host 0.0.0.0 exclude each other'],
    [{ host: '::' }, { ISLET_LOCAL_DEV_KEY: 'on' }, '--local-dev-key and --host :: exclude each other'],
    [{ 'tls-cert': '/a' }, {}, '--tls-cert and --tls-key belong together'],
    [{ 'data-dir': ' ' }, {}, '--data-dir must be a directory'],
    [{ 'rate-limit': '10' }, {}, '--rate-limit must be requests in a time, such as 50/s'],
    [{}, { ISLET_RATE_LIMIT: '0/s' }, 'ISLET_RATE_LIMIT must be requests in a time'],
  ])('are refused by name: %o %o', (flags, env, message) => {
    expect(() => read(flags as Record<string, string>, env as Record<string, string>)).toThrow(OptionError);
    expect(() => read(flags as Record<string, string>, env as Record<string, string>)).toThrow(message);
  });

  it('do not repeat a password in the message', () => {
    const attempt = () => read({}, { DATABASE_URL: 'mysql://root:hunter2@h/db' });
    expect(attempt).toThrow('DATABASE_URL must be a postgres:// address');
    expect(attempt).not.toThrow(/hunter2/);
  });

  it.each([
    'redis://:hunter2@127.0.0.1:6379',
    'rediss://islet:hunter2@redis.example.org/',
    'unix:///run/redis/redis.sock',
  ])('take %s for a Redis', (url) => {
    expect(parseRedisUrl(url)).toBe(url);
  });

  it.each([
    ['http://:hunter2@h', 'must be a redis://, rediss:// or unix:// address'],
    ['redis://', 'must name a server'],
    ['unix://run/redis.sock', 'must name a server'],
    ['redis://:hunter2@h/3', 'must name no database: --redis-prefix'],
  ])('do not take %s for a Redis, nor repeat its password', (url, message) => {
    const attempt = () => readOption(OPTIONS.redisUrl, { flags: {}, env: { ISLET_REDIS_URL: url } });
    expect(attempt).toThrow(`ISLET_REDIS_URL ${message}`);
    expect(attempt).not.toThrow(/hunter2/);
  });

  it('keep out of the prefix of keys what means something in patterns', () => {
    expect(parseRedisPrefix('islet.one-2')).toBe('islet.one-2');
    for (const prefix of ['', 'a*', 'a:b', 'a b']) expect(() => parseRedisPrefix(prefix)).toThrow(RangeError);
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

describe('switches and lists', () => {
  const flags = (...words: string[]) =>
    readLine(['localDevKey', 'secureByDefault', 'allowOrigin', 'host'], ...words).options;
  const devKey = (...words: string[]) => read({ ...flags(...words), host: '::1' }).localDevKey;

  it('say nothing if they are not given', () => {
    expect(read({})).toMatchObject({ localDevKey: undefined, secureByDefault: false, allowOrigin: [] });
    expect(flags('--host', '::1')).toEqual({ host: '::1' });
  });

  it.each([
    [['--local-dev-key'], true],
    [['--local-dev-key', '--host', '::1'], true],
    [['--local-dev-key=on'], true],
    [['--local-dev-key', 'on'], true],
    [['--no-local-dev-key'], false],
    [['--local-dev-key=off'], false],
    [['--local-dev-key', 'off'], false],
    [['--local-dev-key', '--no-local-dev-key'], false],
    [['--no-local-dev-key', '--local-dev-key'], true],
  ])('%j', (words, value) => {
    expect(devKey(...words)).toBe(value);
    expect(readLine(['localDevKey', 'host'], ...words).problem).toBeUndefined();
  });

  it('win over the environment, and may come from it', () => {
    const env = { ISLET_LOCAL_DEV_KEY: 'off', ISLET_SECURE_BY_DEFAULT: '1' };
    expect(read({}, env)).toMatchObject({ localDevKey: false, secureByDefault: true });
    expect(read(flags('--local-dev-key'), env).localDevKey).toBe(true);
  });

  it('collect what is given several times', () => {
    const both = [
      ...['--allow-origin', 'https://a.example', '--allow-origin=https://b.example,http://localhost:*'],
    ];
    const { allowOrigin } = read(flags(...both));
    expect(allowOrigin).toEqual(
      ['https://a.example', 'https://b.example', 'http://localhost:*'].map(parseOriginPattern),
    );
    expect(read({}, { ISLET_ALLOW_ORIGIN: 'https://a.example, *' }).allowOrigin).toHaveLength(2);
  });
});

describe('an address to listen on', () => {
  it('has one form, so that it can be told whether it is local', () => {
    for (const host of [
      '127.0.0.1',
      '127.1.2.3',
      '::1',
      '0:0:0:0:0:0:0:1',
      '::ffff:127.0.0.1',
      'localhost',
    ]) {
      expect(isLoopbackHost(read({ host }).host), host).toBe(true);
    }
    for (const host of ['0.0.0.0', '::', '10.0.0.1', '::ffff:10.0.0.1', '::2', 'fe80::1%eth0']) {
      expect(isLoopbackHost(read({ host }).host), host).toBe(false);
    }
  });
});

describe('what the API lets browsers do', () => {
  const access = (flags: Record<string, string>, machine = 'Machine.example.com') =>
    webAccessOf(read(flags), machine);

  it('is what the operator names, with the names of a domain and of a machine that others reach', () => {
    expect(access({})).toEqual({ hosts: [], origins: [] });
    expect(
      access({ domain: 'sandboxes.example:8443', host: '0.0.0.0', 'allow-host': 'islet.example' }),
    ).toEqual({
      hosts: [
        { kind: 'exact', host: 'islet.example' },
        { kind: 'exact', host: 'sandboxes.example' },
        { kind: 'below', host: 'sandboxes.example' },
        { kind: 'exact', host: 'machine.example.com' },
      ],
      origins: [],
    });
  });

  it('never is more because a machine has an odd name', () => {
    expect(access({ host: '::' }, 'odd name')).toEqual({ hosts: [], origins: [] });
  });
});

describe('flags that a command does not know', () => {
  const problemOf = (...words: string[]) => readLine(['apiPort', 'dataDir'], ...words).problem?.message;

  it('are refused with the nearest one that it does', () => {
    expect(problemOf('--api-prot', '3000')).toMatch(/did you mean --api-port\?/);
    expect(problemOf('--wholly-different')).toMatch(/see --help/);
  });

  it('are refused also if a value is given with =', () => {
    expect(problemOf('--data-dri=/x')).toMatch(/did you mean --data-dir\?/);
  });

  it('are told from values, and a flag without its value is refused', () => {
    expect(problemOf('--data-dir', '-odd-name', '--json')).toBeUndefined();
    expect(problemOf('--data-dir')).toBe('--data-dir needs a value');
    expect(problemOf('--data-dir', '--json')).toBe('--data-dir needs a value');
  });
});
