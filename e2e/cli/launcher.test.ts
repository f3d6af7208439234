import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonLines, runIslet } from '../setup/command.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../islet');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-e2e-cli-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A directory for PATH with everything that /usr/bin has, but for some. */
async function pathWithout(...names: string[]): Promise<string> {
  const bin = join(dir, `without-${names.join('-')}`);
  await mkdir(bin);
  const programs = (await readdir('/usr/bin')).filter((name) => !names.includes(name));
  await Promise.all(programs.map((name) => symlink(join('/usr/bin', name), join(bin, name))));
  return bin;
}

describe('./islet', () => {
  it.each([[[]], [['--help']], [['-h']]])('shows its commands: %j', async (args) => {
    const { code, stdout, stderr } = await runIslet(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const command of ['up', 'api', 'edge', 'node', 'doctor', 'keys', 'teams', 'db']) {
      expect(stdout).toMatch(new RegExp(`^ +${command} {2,}\\S`, 'm'));
    }
  });

  it.each([
    ['api', '--nodes'],
    ['edge', '--control-plane'],
    ['node', '--isolation'],
  ])('shows what the role %s takes, and nothing of the others', async (role, own) => {
    const { code, stdout } = await runIslet([role, '--help']);
    expect(code).toBe(0);
    const flags = ['--nodes', '--control-plane', '--isolation'].filter((flag) => stdout.includes(`${flag}=`));
    expect(flags).toEqual([own]);
    expect(stdout).toContain('--token-file=');
  });

  it('tells its version', async () => {
    expect(await runIslet(['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });

  it('shows every option of up with its environment variable', async () => {
    const { code, stdout } = await runIslet(['up', '--help']);
    expect(code).toBe(0);
    for (const [option, variable] of [
      ['--data-dir', 'ISLET_DATA_DIR'],
      ['--host', 'ISLET_HOST'],
      ['--api-port', 'ISLET_API_PORT'],
      ['--proxy-port', 'ISLET_PROXY_PORT'],
      ['--orchestrator-port', 'ISLET_ORCHESTRATOR_PORT'],
      ['--dns', 'ISLET_DNS'],
    ]) {
      expect(stdout).toMatch(new RegExp(`${option}=.*\\[${variable}\\]`));
    }
    expect(stdout).toContain('--json');
  });

  it.each([
    [['frobnicate'], /there is no command "frobnicate"; there are: up, api, edge, node, audit, doctor/],
    [['keys', 'frobnicate'], /there is no command "keys frobnicate"; there are: create, list, revoke/],
    [['keys', 'list', '--jsno'], /there is no option --jsno; did you mean --json\?/],
    [['keys', 'revoke'], /key/i],
    [['db', 'migrate', '--data-dir'], /--data-dir needs a value/],
  ])('refuses %j with a message and exit code 1', async (args, message) => {
    const { code, stdout, stderr } = await runIslet(args);
    expect(code).toBe(1);
    expect(stdout + stderr).toMatch(message);
  });

  it.each([
    [['--api-prot', '3000'], {}, 'there is no option --api-prot; did you mean --api-port?'],
    [['--api-port', '99999'], {}, '--api-port must be a port, 0 to 65535, not "99999"'],
    [['--host', 'example.com'], {}, '--host must be an IP address'],
    [[], { ISLET_PROXY_PORT: 'x' }, 'ISLET_PROXY_PORT must be a port, 0 to 65535, not "x"'],
    [['--dns', '::1'], {}, '--dns must be IPv4 addresses'],
  ])('starts nothing with the wrong option %j %j', async (args, env, message) => {
    const { code, stdout } = await runIslet(['up', '--json', '--data-dir', join(dir, 'none'), ...args], {
      env,
    });
    expect(code).toBe(1);
    const events = jsonLines<{ event: string; message: string }>(stdout);
    expect(events).toEqual([
      { event: 'error', message: expect.stringContaining(message), causes: expect.any(Array) },
    ]);
    expect(await readdir(dir)).not.toContain('none');
  });

  it('runs from any directory and through links', async () => {
    const link = join(dir, 'link-to-islet');
    await symlink(LAUNCHER, link);
    await symlink('link-to-islet', join(dir, 'relative'));
    expect(await readlink(link)).toBe(LAUNCHER);
    const { stdout } = await promisify(execFile)(join(dir, 'relative'), ['--version'], { cwd: '/' });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('finds what root runs although the caller’s PATH has no sbin folder, as an ordinary user’s', async () => {
    const PATH = [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(':');
    const { stdout } = await runIslet(['doctor', '--json', '--isolation', 'gvisor'], { env: { PATH } });
    const { checks } = JSON.parse(stdout) as { checks: { id: string; status: string }[] };
    for (const id of ['programs', 'nftables']) {
      expect(checks.find((check) => check.id === id)).toMatchObject({ status: 'ok' });
    }
  });

  it('says how to get Node.js if there is none', async () => {
    const { code, stderr } = await runIslet(['up'], { env: { PATH: await pathWithout('node', 'nodejs') } });
    expect(code).toBe(1);
    expect(stderr).toContain('node is not installed');
    expect(stderr).toContain('apt-get install nodejs');
  });

  it('only reports missing packages with --no-install, and what installs them', async () => {
    const PATH = await pathWithout('runsc');
    for (const [args, env] of [
      [['up', '--no-install'], { PATH }],
      [['up'], { PATH, ISLET_NO_INSTALL: '1' }],
    ] as const) {
      const { code, stdout, stderr } = await runIslet(args, { env });
      expect(code).toBe(1);
      expect(stderr).toContain('missing: runsc (isolates sandboxes (gVisor))');
      expect(stderr).toContain('apt-get install --no-install-recommends runsc');
      expect(stdout).toBe('');
    }
  });
});
