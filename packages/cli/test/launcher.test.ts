import { execFile } from 'node:child_process';
import {
  access,
  chmod,
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RIGHTS } from '../src/host/rights.ts';
import { commandsOf } from '../src/index.ts';

const launcher = join(dirname(fileURLToPath(import.meta.url)), '../../../islet');

/** What the launcher takes for an installed and built checkout, and a PATH that holds only what a test puts there. */
describe('the launcher', () => {
  let dir: string;
  let root: string;
  let bin: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet launcher-'));
    root = join(dir, 'checkout');
    bin = join(dir, 'bin');
    await mkdir(bin);
    for (const name of ['packages', 'templates', 'scripts', 'packaging', 'dist', 'node_modules']) {
      await mkdir(join(root, name), { recursive: true });
    }
    await copyFile(
      join(dirname(launcher), 'packaging/system-packages'),
      join(root, 'packaging/system-packages'),
    );
    await copyFile(launcher, join(root, 'islet'));
    await chmod(join(root, 'islet'), 0o755);
    const long = new Date(Date.now() - 60_000);
    for (const name of [
      'package.json',
      'package-lock.json',
      'node_modules/.package-lock.json',
      'scripts/build.mjs',
    ]) {
      await writeFile(join(root, name), '{}');
      await utimes(join(root, name), long, long);
    }
    await fake(
      'node',
      'case $1 in --version) echo v22.1.0 ;; scripts/*) echo built ;; *) shift 2; printf "ran:"; printf " [%s]" "$@"; echo ;; esac',
    );
    await fake('npm', 'echo "npm $*"; mkdir -p node_modules; : > node_modules/.package-lock.json');
    for (const name of ['runsc', 'ip', 'nft', 'mmdebstrap']) await fake(name, 'exit 0');
    await writeFile(join(root, 'dist/islet.mjs'), '');
    await writeFile(join(root, 'dist/.stamp'), '');
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  async function fake(name: string, script: string): Promise<void> {
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, name), 0o755);
  }

  /** System directories hold the real programs, so the launcher's own tools come from a folder of links. */
  async function run(args: string[], options: { file?: string; cwd?: string; path?: string } = {}) {
    const { file = join(root, 'islet'), cwd = '/', path = `${bin}:/usr/bin:/bin` } = options;
    return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      execFile(file, args, { cwd, env: { PATH: path } }, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
      });
    });
  }

  it('runs the command line with the arguments as they are, and nothing else if all is in place', async () => {
    const { code, stdout, stderr } = await run(['--version', 'a b', '', '$x']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe('ran: [--version] [a b] [] [$x]\n');
  });

  it('works through a chain of links and from any directory', async () => {
    await symlink('checkout', join(dir, 'link-to-checkout'));
    await symlink('link-to-checkout/islet', join(dir, 'relative-link'));
    await mkdir(join(dir, 'elsewhere'));
    await symlink('../relative-link', join(dir, 'elsewhere/islet'));
    const { stdout } = await run(['--help'], { file: './islet', cwd: join(dir, 'elsewhere') });
    expect(stdout).toBe('ran: [--help]\n');
  });

  it('says how to get Node if there is none', async () => {
    await rm(join(bin, 'node'));
    const tools = join(dir, 'tools');
    await mkdir(tools);
    for (const name of ['readlink', 'dirname', 'id', 'uname', 'env', 'sh']) {
      await symlink(`/usr/bin/${name}`, join(tools, name));
    }
    const { code, stderr } = await run(['up'], { path: tools });
    expect(code).toBe(1);
    expect(stderr).toMatch(/node is not installed[\s\S]*apt-get install nodejs[\s\S]*nodejs\.org/);
  });

  it.each(['v18.20.4', 'v20.18.3'])('refuses Node %s, which is too old', async (version) => {
    await fake('node', `echo ${version}`);
    const { code, stderr } = await run(['--version']);
    expect(code).toBe(1);
    expect(stderr).toContain(`node ${version.slice(1)} is too old`);
  });

  it('builds when a source is newer than the build, tests apart', async () => {
    const later = new Date(Date.now() + 60_000);
    await mkdir(join(root, 'packages/x/src'), { recursive: true });
    const source = join(root, 'packages/x/src/a.test.ts');
    await writeFile(source, '');
    await writeFile(join(root, 'dist/.stamp'), '');
    await utimes(source, later, later);
    expect((await run(['--version'])).stderr).toBe('');
    await writeFile(join(root, 'packages/x/src/a.ts'), '');
    await utimes(join(root, 'packages/x/src/a.ts'), later, later);
    expect((await run(['--version'])).stderr).toBe('islet: building\nbuilt\n');
  });

  it('builds nothing and installs no npm packages if there are no sources: a package for npm or Debian', async () => {
    for (const name of ['scripts', 'packages', 'node_modules', 'package-lock.json', 'dist/.stamp']) {
      await rm(join(root, name), { recursive: true });
    }
    expect(await run(['--version'])).toEqual({ code: 0, stdout: 'ran: [--version]\n', stderr: '' });
  });

  it('installs npm packages if there are none, and when the lockfile changed, not when it was only touched', async () => {
    await rm(join(root, 'node_modules'), { recursive: true });
    expect((await run(['--version'])).stderr).toMatch(/npm ci/);
    const later = new Date(Date.now() + 60_000);
    await utimes(join(root, 'package-lock.json'), later, later);
    expect((await run(['--version'])).stderr).not.toContain('npm');
    await writeFile(join(root, 'package-lock.json'), '{"changed":true}');
    await utimes(join(root, 'package-lock.json'), later, later);
    expect((await run(['--version'])).stderr).toMatch(/npm ci/);
  });

  it('installs no packages that only tests need, but for tests, and then also if the others are', async () => {
    await rm(join(root, 'node_modules'), { recursive: true });
    expect((await run(['--version'])).stderr).toContain('npm ci --omit=dev ');
    expect((await run(['--version', '--with-tests'])).stderr).toMatch(/npm ci --no-audit/);
    await mkdir(join(root, 'node_modules/vitest'));
    for (const args of [['--version', '--with-tests'], ['--version']]) {
      expect((await run(args)).stderr).not.toContain('npm');
    }
    await writeFile(join(root, 'package-lock.json'), '{"changed":true}');
    await rm(join(root, 'node_modules/.package-lock.json'));
    expect((await run(['--version'])).stderr).toMatch(/npm ci --no-audit/);
  });

  describe.runIf(process.getuid?.() === 0)('for an ordinary user', () => {
    const NOBODY = 65534;
    /** Shows what it was called with and, of its environment, what it was handed. */
    const SHOWS =
      'printf "%s\\n" "$@"; env | grep -E "^(ISLET|E2B|DATABASE|HTTP|http)" | sort | sed "s/^/has /"';

    /** The commands of the system that the launcher calls, and none that makes root. */
    async function runAsUser(args: string[], env: Record<string, string> = {}) {
      const tools = join(dir, 'tools');
      await mkdir(tools);
      const own = ['sh', 'readlink', 'dirname', 'id', 'uname', 'find', 'head', 'cat', 'cksum', 'flock'];
      for (const name of [...own, 'env', 'sed', 'tr', 'mkdir', 'mktemp', 'rm', 'grep', 'sort'])
        await symlink(`/usr/bin/${name}`, join(tools, name));
      for (const path of [dir, root, join(root, 'node_modules'), join(root, 'dist')])
        await chown(path, NOBODY, NOBODY);
      const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
      return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
        const command = [...user, join(root, 'islet'), ...args];
        const options = { cwd: '/', env: { PATH: `${bin}:${tools}`, ...env } };
        execFile('/usr/bin/setpriv', command, options, (error, stdout, stderr) => {
          resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
        });
      });
    }

    const settings = {
      HTTPS_PROXY: 'http://proxy:3128',
      http_proxy: 'http://u:p@proxy',
      ISLET_DNS: '1.1.1.1',
    };

    it('goes on through sudo, which hands on what means something to Islet', async () => {
      await fake('sudo', SHOWS);
      const { stdout } = await runAsUser(['up', 'a b'], { ...settings, EDITOR: 'vi' });
      const kept = /^--preserve-env=(.*)$/m.exec(stdout)?.[1]?.split(',').sort();
      expect(kept).toEqual(['HTTPS_PROXY', 'ISLET_DNS', 'http_proxy']);
      expect(stdout).toMatch(/\/checkout\/islet\nup\na b\n/);
    });

    it('gives root a PATH with the folders of the programs that only root needs', async () => {
      await fake('sudo', SHOWS);
      expect((await runAsUser(['up'])).stdout).toMatch(/^PATH=.*:\/usr\/sbin:\/sbin$/m);
    });

    it('goes on through doas, which must not show secrets to everybody', async () => {
      await fake('doas', SHOWS);
      const { stdout, stderr } = await runAsUser(['keys', 'a b'], { ...settings, E2B_API_KEY: 'e2b_secret' });
      const handed = stdout
        .split('\n')
        .filter((line) => /^[A-Za-z0-9_]+=/.test(line) && !line.startsWith('PATH='));
      expect(handed.sort()).toEqual(['HTTPS_PROXY=http://proxy:3128', 'ISLET_DNS=1.1.1.1']);
      expect(stdout).toMatch(/^env\nPATH=[\s\S]*\/checkout\/islet\nkeys\na b\n/);
      expect(stderr).toMatch(/E2B_API_KEY is not handed on/);
      expect(stderr).toMatch(/http_proxy is not handed on/);
    });

    it.each([
      {
        trusts: 'a user’s browsers trust as that user',
        args: ['trust', '--remove'],
        said: 'ran: [trust] [--remove]\n',
      },
      { trusts: 'the system trusts as root', args: ['trust', '--system'], said: /\ntrust\n--system\n$/ },
    ])('changes what $trusts', async ({ args, said }) => {
      await fake('sudo', SHOWS);
      expect((await runAsUser(args)).stdout).toEqual(
        typeof said === 'string' ? said : expect.stringMatching(said),
      );
    });

    it('says how to become root if neither is there, for what needs it', async () => {
      const { code, stderr } = await runAsUser(['service', 'install']);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /neither sudo nor doas is installed[\s\S]*su -c '".*\/checkout\/islet" service install'/,
      );
    });

    it('goes on without root if neither is there, and names what an administrator has to install', async () => {
      const { code, stdout, stderr } = await runAsUser(['up', '--json']);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/An administrator has to run once:\n {2}apt-get install .* uidmap passt\b/);
      expect(stderr).not.toContain('installing');
    });

    it('goes on without root if that is asked for, with the arguments as they are', async () => {
      await fake('sudo', 'echo became root');
      await fake(
        'node',
        'case $1 in --version) echo v22.1.0 ;; *) shift 2; echo "without root: $ISLET_ROOTLESS $*" ;; esac',
      );
      const { stdout } = await runAsUser(['keys', 'list'], { ISLET_ROOTLESS: '1' });
      expect(stdout).toBe('without root: 1 keys list\n');
    });

    it('lends npm a cache if the home folder is read-only, and takes it away', async () => {
      await fake('sudo', 'exit 0');
      await fake(
        'npm',
        'echo "cache $npm_config_cache" >&2; [ -w "$npm_config_cache" ] && : > node_modules/.package-lock.json',
      );
      await rm(join(root, 'node_modules/.package-lock.json'));
      const { code, stderr } = await runAsUser(['up'], { HOME: '/proc' });
      const cache = /^cache (.+)$/m.exec(stderr)?.[1] ?? '';
      expect({ code, cache }).toEqual({ code: 0, cache: expect.stringMatching(/^\/tmp\//) });
      await expect(access(cache)).rejects.toThrow('ENOENT');
    });
  });

  describe.runIf(process.getuid?.() === 0)('as root', () => {
    /** Of /usr/bin, only the shell's own tools: what a test took away is really gone. */
    async function barePath(): Promise<string> {
      const tools = join(dir, 'tools');
      await mkdir(tools);
      for (const name of [
        'sh',
        'readlink',
        'dirname',
        'id',
        'uname',
        'find',
        'head',
        'cat',
        'cksum',
        'ls',
        'ps',
        'unshare',
        'flock',
      ]) {
        await symlink(`/usr/bin/${name}`, join(tools, name));
      }
      return `${bin}:${tools}`;
    }

    it('with --no-install names every missing package and what it is for, and stops', async () => {
      const path = await barePath();
      await rm(join(bin, 'runsc'));
      const { code, stdout, stderr } = await run(['up', '--no-install'], { path });
      expect(code).toBe(1);
      expect(stdout).toBe('');
      expect(stderr).toContain('islet: missing: runsc (isolates sandboxes (gVisor))');
      expect(stderr).toMatch(/apt-get install --no-install-recommends.* runsc/);
    });

    it('asks for the packages of virtual machines, and of tests, only if they are wanted', async () => {
      const path = await barePath();
      const missing = async (...args: string[]) =>
        (await run(['up', '--no-install', ...args], { path })).stderr.match(/(?<=missing: )\S+/g) ?? [];
      expect(await missing()).not.toContain('qemu-system-x86');
      const microvm = await missing('--isolation', 'microvm');
      expect(microvm).toEqual(expect.arrayContaining(['qemu-system-x86', 'zstd']));
      expect(microvm).not.toContain('docker-registry');
      expect(await missing('--with-tests')).toEqual(
        expect.arrayContaining(['qemu-system-x86', 'docker-registry']),
      );
    });

    it('installs what is missing with apt-get before it goes on', async () => {
      const path = await barePath();
      await rm(join(bin, 'runsc'));
      await fake(
        'apt-get',
        `echo "apt-get $*" >&2; echo "apt-get has PATH=$PATH" >&2; case $* in *install*) cp ${JSON.stringify(join(bin, 'nft'))} ${JSON.stringify(join(bin, 'runsc'))} ;; esac`,
      );
      await symlink('/usr/bin/cp', join(dir, 'tools/cp'));
      await fake('apt-cache', 'exit 0');
      const { code, stdout, stderr } = await run(['up', '--json'], { path });
      expect(stderr).toMatch(/apt-get update[\s\S]*apt-get install .* runsc/);
      // dpkg looks for ldconfig and others there.
      expect(stderr).toMatch(/apt-get has PATH=.*:\/usr\/sbin:\/sbin$/m);
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'ran: [up] [--json]\n' });
    });

    it('stops the services of what tests need, which Debian starts, and no others', async () => {
      const path = await barePath();
      await rm(join(bin, 'runsc'));
      await fake('apt-get', 'exit 0');
      await fake('apt-cache', 'exit 0');
      await fake('systemctl', `echo "systemctl $*" >>${JSON.stringify(join(bin, 'told'))}`);
      await run(['up', '--with-tests'], { path });
      const told = (await readFile(join(bin, 'told'), 'utf8')).trim().split('\n');
      expect(told).toEqual(expect.arrayContaining(['systemctl disable --now redis-server.service']));
      expect(told).not.toContain('systemctl disable --now runsc.service');
    });

    it('says where to get runsc when the archive has none', async () => {
      const path = await barePath();
      await rm(join(bin, 'runsc'));
      await fake('apt-get', 'exit 0');
      await fake('apt-cache', 'exit 100');
      const { code, stderr } = await run(['up'], { path });
      expect(code).toBe(1);
      expect(stderr).toMatch(/not in this system's package archive[\s\S]*storage\.googleapis\.com\/gvisor/);
    });
  });
});

it('knows by name only commands that there are', async () => {
  const text = await readFile(launcher, 'utf8');
  const [, cases = ''] = /case \$help\$command in([\s\S]*?)\n {2}\*\)/.exec(text) ?? [];
  const named = [...cases.matchAll(/\bno([a-z-]+)(?= \||\))/g)].map(([, name]) => name ?? '');
  expect(named).toContain('up');
  // The launcher's own.
  expect(named.filter((name) => name !== 'setup' && !(name in commandsOf({} as never)))).toEqual([]);
});

it('leaves each command that serves the rights that are told of it, and no others', async () => {
  const text = await readFile(launcher, 'utf8');
  const [functionText = ''] = /^rights_of\(\) \{[\s\S]*?^\}/m.exec(text) ?? [];
  const tell = (command: string) =>
    promisify(execFile)('sh', ['-c', `${functionText}\nrights_of ${command}`]).then(({ stdout }) => stdout);
  for (const [command, rights] of Object.entries(RIGHTS)) {
    const told = (await tell(command)).trim().split(',');
    expect(told.sort()).toEqual(
      Object.keys(rights)
        .map((name) => `+${name}`)
        .sort(),
    );
  }
  expect(await tell('doctor')).toBe('');
});
