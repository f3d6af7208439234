import { expect, it } from 'vitest';
import { parseConfig } from './config.ts';
import { GatewayError } from './gateway-error.ts';

const PLACES = { servers: '/opt/servers', repositories: '/home/user/.mcp-servers', home: '/home/user' };
const parse = (config: unknown) => parseConfig(JSON.stringify(config), PLACES);

it('starts servers that come with it by their files', () => {
  const { servers, repositories } = parse({ filesystem: { paths: ['/home/user', '/srv'] }, memory: {} });
  expect(repositories).toEqual([]);
  expect(servers).toEqual([
    {
      name: 'filesystem',
      command: process.execPath,
      args: ['/opt/servers/filesystem/bin/index.mjs', '/home/user', '/srv'],
      env: {},
      cwd: '/home/user',
    },
    {
      name: 'memory',
      command: process.execPath,
      args: ['/opt/servers/memory/bin/index.mjs'],
      env: { MEMORY_FILE_PATH: '/home/user/.mcp-memory.jsonl' },
      cwd: '/home/user',
    },
  ]);
});

it('runs a repository in its clone', () => {
  const { repositories } = parse({
    'github/someone/a.server': { installCmd: 'npm ci', runCmd: 'node .', envs: { LEVEL: 'low' } },
  });
  expect(repositories).toEqual([
    {
      name: 'github/someone/a.server',
      url: 'https://github.com/someone/a.server.git',
      dir: '/home/user/.mcp-servers/someone/a.server',
      installCommand: 'npm ci',
      server: {
        name: 'github/someone/a.server',
        command: '/bin/bash',
        args: ['-l', '-c', 'node .'],
        env: { LEVEL: 'low' },
        cwd: '/home/user/.mcp-servers/someone/a.server',
      },
    },
  ]);
});

it.each([
  [
    'a server that E2B has as an image',
    { browserbase: { apiKey: 'x' } },
    /"browserbase" is not available.*image.*Available are everything, filesystem/s,
  ],
  ['a name of every object', { constructor: {} }, /"constructor" is not available/],
  ['no paths', { filesystem: {} }, /options of the server "filesystem" are wrong: .*paths/],
  ['a path that is none', { filesystem: { paths: ['home'] } }, /filesystem\/paths\/0/],
  ['options that it does not have', { memory: { file: '/tmp/x' } }, /"memory" are wrong/],
  ['options that are no object', { memory: 'yes' }, /"memory" are wrong/],
  ['a repository without a command', { 'github/a/b': {} }, /"github\/a\/b" are wrong: .*runCmd/],
  ['a repository outside of its folder', { 'github/a/..': { runCmd: 'true' } }, /names no repository/],
  [
    'an option of git for a repository',
    { 'github/--upload-pack=x/b': { runCmd: 'true' } },
    /names no repository/,
  ],
  ['nothing', {}, /names no server/],
  ['too many', Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`s${i}`, {}])), /at most 32/],
  ['a list', [], /no object of servers/],
])('refuses %s', (_, config, message) => {
  expect(() => parse(config)).toThrow(GatewayError);
  expect(() => parse(config)).toThrow(message);
});

it('refuses what is no JSON', () => {
  expect(() => parseConfig('{', PLACES)).toThrow(/--config is not JSON/);
});
