import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  configTemplate,
  givenVariables,
  readVariables,
  withVariables,
  writeConfigFile,
} from './config-file.ts';
import { planService } from './service.ts';
import { parseState } from './systemd.ts';
import { CONFIG_FILE, programOf, serviceUnit } from './unit.ts';

const run = promisify(execFile);
const configFile = CONFIG_FILE;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'islet service-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('the unit', () => {
  it('starts the launcher, whatever its path', () => {
    const odd = '/opt/100 % $HOME/islet';
    expect(programOf(serviceUnit({ program: odd, configFile }))).toBe(odd);
    expect(programOf(serviceUnit({ program: '/usr/lib/islet/islet', configFile }))).toBe(
      '/usr/lib/islet/islet',
    );
    expect(() => serviceUnit({ program: '/opt/a\nExecStartPre=/bin/rm', configFile })).toThrow(RangeError);
    expect(() => serviceUnit({ program: "/home/o'neill/islet", configFile })).toThrow(/quote or backslash/);
  });

  // systemd-analyze comes with systemd, which a service is for.
  it('is one that systemd takes without a word', async () => {
    const program = join(root, '100 % $HOME', 'islet');
    await mkdir(dirname(program));
    await writeFile(program, '#!/bin/sh\n', { mode: 0o755 });
    const unit = join(root, 'islet.service');
    const verify = () => run('systemd-analyze', ['verify', '--man=no', '--generators=no', unit]);
    await writeFile(unit, serviceUnit({ program, path: '/opt/node "22" \\ %/bin:/usr/bin', configFile }));
    expect(await verify()).toEqual({ stdout: '', stderr: '' });
    // It does look.
    await writeFile(unit, serviceUnit({ program: `${program}-gone`, configFile }));
    await expect(verify()).rejects.toThrow(/is not executable/);
  });

  it('leaves sandboxes to be adopted: stops its own process alone, and has no mounts of its own', () => {
    const unit = serviceUnit({ program: '/islet', configFile });
    expect(unit).toMatch(/^KillMode=process$/m);
    expect(unit).toMatch(/^Restart=on-failure$/m);
    expect(unit).not.toMatch(
      /^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|Bind|TemporaryFile|RootDirectory|RuntimeDirectory|DynamicUser|User=)/m,
    );
  });
});

describe('the configuration file', () => {
  it('has every option of islet up, and sets none', () => {
    const template = configTemplate();
    expect(readVariables(template)).toEqual({});
    expect(template).toMatch(/^#ISLET_HOST=127\.0\.0\.1$/m);
    expect(template).toMatch(/^#DATABASE_URL=$/m);
  });

  it('takes options if they are named, keeps the rest, and reads what it wrote', () => {
    const odd = `/srv/my "data" \\ $HOME 'x' #1`;
    const mine = `${configTemplate()}# mine\nOTHER=1\n`;
    const first = withVariables(mine, { ISLET_HOST: '0.0.0.0', ISLET_DATA_DIR: odd });
    expect(first).toMatch(/^ISLET_HOST=0\.0\.0\.0$/m);
    expect(first).not.toMatch(/^#ISLET_HOST=/m);
    const second = withVariables(first, { ISLET_HOST: '127.0.0.1', NEW: 'a b' });
    expect(readVariables(second)).toEqual({
      ISLET_HOST: '127.0.0.1',
      ISLET_DATA_DIR: odd,
      OTHER: '1',
      NEW: 'a b',
    });
    expect(second.split('\n')).toHaveLength(mine.split('\n').length + 1);
    expect(() => withVariables(mine, { A: 'one\nISLET_HOST=0.0.0.0' })).toThrow(RangeError);
  });

  it('is read by its owner alone: it may hold a password', async () => {
    const path = join(root, 'etc/islet/islet.conf');
    await writeConfigFile(path, 'DATABASE_URL=postgres://u:p@h/d\n');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('holds what was given, flags before variables', () => {
    const given = givenVariables(['host', 'secureByDefault', 'apiPort'], {
      flags: { host: '::1', 'secure-by-default': 'on' },
      env: { ISLET_HOST: '0.0.0.0', ISLET_API_PORT: '3100', ISLET_DNS: '1.1.1.1' },
    });
    expect(given).toEqual({ ISLET_HOST: '::1', ISLET_SECURE_BY_DEFAULT: 'on', ISLET_API_PORT: '3100' });
  });
});

describe('the plan of a service', () => {
  const program = '/srv/islet/islet';
  const plan = (options: { program?: string; variables?: Record<string, string> } = {}) =>
    planService({ program, node: '/opt/node/bin/node', variables: {}, root, ...options });
  const put = async (path: string, text: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  };
  const OWN = 'etc/systemd/system/islet.service';
  const PACKAGED = 'usr/lib/systemd/system/islet.service';

  it('is a unit with the PATH that finds node, and a file with the options', async () => {
    const { unit, config } = await plan({ variables: { ISLET_API_PORT: '3100' } });
    expect(unit?.path).toBe(join(root, OWN));
    expect(unit?.text).toContain('Environment="PATH=/opt/node/bin:/usr/local/sbin:');
    expect(config).toEqual({
      path: join(root, 'etc/islet/islet.conf'),
      text: expect.stringMatching(/^ISLET_API_PORT=3100$/m),
    });
  });

  it('refuses options that Islet would refuse at its start, those in the file included', async () => {
    await expect(plan({ variables: { ISLET_API_PORT: 'many' } })).rejects.toThrow(
      /ISLET_API_PORT must be a port/,
    );
    await put('etc/islet/islet.conf', 'ISLET_HOST=everywhere\n');
    await expect(plan()).rejects.toThrow(/ISLET_HOST must be an IP address/);
  });

  it('replaces a unit of the same Islet, and refuses to replace one of another', async () => {
    await put(OWN, serviceUnit({ program, configFile }));
    expect((await plan()).unit).toBeDefined();
    await expect(plan({ program: '/home/u/islet/islet' })).rejects.toThrow(
      /starts another Islet, \/srv\/islet/,
    );
  });

  it("leaves the Debian package's unit as it is", async () => {
    await put(PACKAGED, serviceUnit({ program: '/usr/lib/islet/islet', configFile }));
    expect((await plan({ program: '/usr/lib/islet/islet' })).unit).toBeUndefined();
    await expect(plan()).rejects.toThrow(/starts another Islet, \/usr\/lib\/islet\/islet/);
  });

  it("refuses an Islet in npx's cache", async () => {
    await expect(plan({ program: '/root/.npm/_npx/0a/node_modules/islet/islet' })).rejects.toThrow(
      /npm install --global/,
    );
  });

  it('changes nothing', async () => {
    await plan();
    await expect(readFile(join(root, 'etc/islet/islet.conf'))).rejects.toThrow(/ENOENT/);
  });
});

describe('what systemd says', () => {
  it('of a service that was started again after a crash', () => {
    const text =
      'FragmentPath=/etc/systemd/system/islet.service\nUnitFileState=enabled\nActiveState=activating\nSubState=auto-restart\nMainPID=0\nNRestarts=3\n';
    expect(parseState(text)).toEqual({
      file: '/etc/systemd/system/islet.service',
      startsAtBoot: true,
      active: 'activating',
      sub: 'auto-restart',
      pid: 0,
      restarts: 3,
    });
  });

  it('of one that is not there', () => {
    const none =
      'FragmentPath=\nUnitFileState=\nActiveState=inactive\nSubState=dead\nMainPID=0\nNRestarts=0\n';
    expect(parseState(none)).toMatchObject({ file: undefined, startsAtBoot: false, active: 'inactive' });
  });
});
