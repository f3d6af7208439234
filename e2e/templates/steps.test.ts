import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Template, waitForProcess } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { BUILD_MS, sharedBuilder } from './builder.ts';

const builder = sharedBuilder('Template steps');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'islet-context-'));
  await mkdir(join(folder, 'app/inner'), { recursive: true });
  await writeFile(join(folder, 'app/main.txt'), 'main');
  await writeFile(join(folder, 'app/inner/deep.txt'), 'deep');
  await writeFile(join(folder, 'app/run.sh'), '#!/bin/sh\necho ran\n');
  await chmod(join(folder, 'app/run.sh'), 0o755);
  await symlink('main.txt', join(folder, 'app/link.txt'));
  await writeFile(join(folder, 'one.txt'), 'one');
  await writeFile(join(folder, 'two.txt'), 'two');
  await writeFile(join(folder, 'ignored.log'), 'noise');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('steps of the SDK', { timeout: BUILD_MS }, () => {
  it('run as the user they name, with the environment and folder set before them', async () => {
    const template = Template()
      .fromBaseImage()
      .setEnvs({ GREETING: 'hello, "world" $5', KEY: '-----BEGIN KEY-----\nline two\n-----END KEY-----' })
      .setEnvs({ PATH: `\${PATH}:/my/path`, TOLD: '$GREETING' })
      .setWorkdir('/srv/app')
      .runCmd(
        'pwd > where; whoami > who; printf %s "$GREETING" > greeting; printf %s "$KEY" > key; echo "$PATH" > path',
      )
      .runCmd(['echo one > several', 'echo two >> several'])
      .runCmd('whoami > /root/who', { user: 'root' })
      .setUser('worker')
      .setWorkdir('sub')
      .runCmd('pwd > where; whoami > who; id -un > id; echo ~ > home');
    await builder.current.build(template, 'steps');
    const read = await builder.current.start('steps');
    const text = async (path: string) => (await read.files.read(path, { user: 'root' })).trimEnd();
    expect(await text('/srv/app/where')).toBe('/srv/app');
    expect(await text('/srv/app/who')).toBe('user');
    expect(await text('/srv/app/greeting')).toContain('hello, "world"');
    expect(await text('/srv/app/key')).toBe('-----BEGIN KEY-----\nline two\n-----END KEY-----');
    expect(await text('/srv/app/path')).toMatch(/\/usr\/bin.*:\/my\/path/);
    expect(await text('/srv/app/several')).toBe('one\ntwo');
    expect(await text('/root/who')).toBe('root');
    expect(await text('/srv/app/sub/where')).toBe('/srv/app/sub');
    expect(await text('/srv/app/sub/who')).toBe('worker');
    expect(await text('/srv/app/sub/home')).toBe('/home/worker');
    // The last user and folder are where sandboxes begin; the environment of the build is not theirs.
    const { stdout } = await read.commands.run('whoami; pwd; printenv GREETING || echo unset');
    expect(stdout.trimEnd().split('\n')).toEqual(['worker', '/srv/app/sub', 'unset']);
  });

  it('copy files, folders and links with their modes and owners', async () => {
    const template = Template({ fileContextPath: folder, fileIgnorePatterns: ['*.log'] })
      .fromBaseImage()
      .copy('app', '/srv/app')
      .copy('one.txt', 'relative.txt')
      .copy('*.txt', '/srv/flat/')
      .copy('one.txt', '/srv/owned.txt', { user: 'root:root', mode: 0o600 })
      .copy(['one.txt', 'two.txt'], '/srv/many/')
      .copy('app/link.txt', '/srv/resolved.txt', { resolveSymlinks: true })
      .copyItems([
        { src: 'one.txt', dest: '/srv/items/a' },
        { src: 'two.txt', dest: '/srv/items/b' },
      ])
      .copy('.', '/srv/all');
    await builder.current.build(template, 'copies');
    const shown = await builder.current.run(
      'copies',
      [
        'cd /srv && find app -printf "%P %y %m %u %l\\n" | sort',
        'cat /home/user/relative.txt; echo',
        'sudo stat -c "%a %U:%G" /srv/owned.txt',
        'ls /srv/flat /srv/many /srv/items',
        'stat -c "%F %s" /srv/resolved.txt; cat /srv/resolved.txt; echo',
        'app/run.sh; cat app/link.txt; echo',
        'ls /srv/all',
      ].join(' && '),
    );
    expect(shown.split('\n')).toEqual([
      expect.stringMatching(/^ d \d+ user $/),
      expect.stringMatching(/^inner d \d+ user $/),
      expect.stringMatching(/^inner\/deep.txt f 644 user $/),
      expect.stringMatching(/^link.txt l 777 user main.txt$/),
      'main.txt f 644 user ',
      'run.sh f 755 user ',
      'one',
      '600 root:root',
      '/srv/flat:',
      'one.txt',
      'two.txt',
      '',
      '/srv/items:',
      'a',
      'b',
      '',
      '/srv/many:',
      'one.txt',
      'two.txt',
      'regular file 4',
      'main',
      'ran',
      'main',
      'app',
      'one.txt',
      'two.txt',
    ]);
  });

  it('make, rename, link and remove files', async () => {
    const template = Template()
      .fromBaseImage()
      .makeDir('/home/user/made/inner', { mode: 0o750 })
      .runCmd('echo text > made/file && echo more > made/gone && mkdir made/tree')
      .rename('made/file', 'made/renamed')
      .makeSymlink('/home/user/made/renamed', '/home/user/link')
      .remove('made/gone')
      .remove(['made/tree'], { recursive: true })
      .remove('made/was-never-there', { force: true });
    await builder.current.build(template, 'entries');
    expect(await builder.current.run('entries', 'ls made; stat -c %a made/inner; cat link')).toBe(
      'inner\nrenamed\n750\ntext',
    );
  });

  it('clone, and install what package tools find without a network', async () => {
    const wheel = [
      'from zipfile import ZipFile',
      'w = ZipFile("/tmp/islet_demo-1.0-py3-none-any.whl", "w")',
      'w.writestr("islet_demo.py", "VALUE = 42")',
      'w.writestr("islet_demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: islet-demo\\nVersion: 1.0\\n")',
      'w.writestr("islet_demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")',
      'w.writestr("islet_demo-1.0.dist-info/RECORD", "")',
      'w.close()',
    ].join('\n');
    const control =
      'Package: islet-demo\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: demo\n';
    const template = Template()
      .fromBaseImage()
      .runCmd(
        'git init -q -b main /tmp/origin && cd /tmp/origin && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first',
      )
      .gitClone('/tmp/origin', '/home/user/clone', { branch: 'main', depth: 1 })
      .runCmd(`cat > /tmp/wheel.py <<'EOF'\n${wheel}\nEOF\npython3 /tmp/wheel.py`)
      .pipInstall(['/tmp/islet_demo-1.0-py3-none-any.whl'])
      .runCmd(
        'mkdir -p /tmp/npm-demo && cd /tmp/npm-demo && npm init -y >/dev/null && echo "module.exports = 7" > index.js',
      )
      .npmInstall('/tmp/npm-demo', { g: true })
      .runCmd(
        `mkdir -p /tmp/deb/DEBIAN /tmp/deb/opt && echo deb > /tmp/deb/opt/islet-demo && printf '${control.replaceAll('\n', '\\n')}' > /tmp/deb/DEBIAN/control && dpkg-deb --build /tmp/deb /tmp/islet-demo.deb && rm -f /etc/apt/sources.list.d/*`,
        { user: 'root' },
      )
      .aptInstall(['/tmp/islet-demo.deb'], { noInstallRecommends: true })
      // bun is in no Debian package: what stands for it shows what it is called with.
      .runCmd(
        'printf \'#!/bin/sh\\necho "bun $*" >> /tmp/bun-calls\\n\' > /usr/local/bin/bun && chmod +x /usr/local/bin/bun',
        {
          user: 'root',
        },
      )
      .bunInstall('left-pad', { dev: true });
    await builder.current.build(template, 'installs');
    expect(
      await builder.current.run(
        'installs',
        'git -C clone log --format=%s; python3 -c "import islet_demo; print(islet_demo.VALUE)"; NODE_PATH=$(npm root -g) node -p "require(\'npm-demo\')"; cat /opt/islet-demo; cat /tmp/bun-calls',
      ),
    ).toBe('first\n42\n7\ndeb\nbun install --dev left-pad');
  });

  it('of a Dockerfile do the same', async () => {
    const template = Template({ fileContextPath: folder }).fromDockerfile(
      [
        'FROM e2bdev/base',
        'ARG NAME=world',
        'ENV GREETING=hello',
        'WORKDIR /srv/app',
        'COPY one.txt two.txt ./',
        'RUN echo "$GREETING $NAME" \\',
        '  > said.txt && whoami >> said.txt',
        'USER user',
        'RUN whoami > /tmp/who',
        'CMD ["sleep", "infinity"]',
      ].join('\n'),
    );
    // The SDK's own wait for a Dockerfile's command is 20 s.
    await builder.current.build(template.setReadyCmd(waitForProcess('sleep')), 'dockerfile');
    const shown = await builder.current.run('dockerfile', 'cat said.txt /tmp/who; ls; pgrep -a sleep');
    expect(shown.split('\n')).toEqual([
      'hello world',
      'root',
      'user',
      'one.txt',
      'said.txt',
      'two.txt',
      expect.stringMatching(/^\d+ sleep infinity$/),
    ]);
  });

  it('begin on a Debian that is made without a registry, into which packages come by a step', {
    tags: 'long',
    // Machines there are namespaces that reach no archive of Debian's.
    skip: inject('cluster') !== undefined,
  }, async () => {
    const named = Template().fromImage('islet/debian:13?packages=nginx').runCmd('true');
    const { error } = await builder.current.failure(named, 'debian-packages');
    expect(error.message).toMatch(/only templates that ship with Islet .* install them in a step/);
    const dockerfile = 'FROM islet/debian:13\nRUN apt-get --version | head -1 && id -un > /said\nUSER user';
    await builder.current.build(Template().fromDockerfile(dockerfile), 'debian');
    const said = await builder.current.run(
      'debian',
      '. /etc/os-release; echo "$ID $VERSION_ID"; cat /said; id -un',
    );
    expect(said.split('\n')).toEqual(['debian 13', 'root', 'user']);
  });

  it('begin where another template ended', async () => {
    const first = Template()
      .fromBaseImage()
      .setEnvs({ FROM_FIRST: 'yes' })
      .setWorkdir('/srv')
      .runCmd('sudo sh -c "echo 1 > /srv/first"');
    await builder.current.build(first, 'chain-one');
    const second = Template().fromTemplate('chain-one').runCmd('echo "$FROM_FIRST $(pwd)" | sudo tee second');
    await builder.current.build(second, 'chain-two');
    const third = Template()
      .fromTemplate(`${builder.current.api.team.slug}/chain-two:default`)
      .runCmd('ls /srv | sudo tee third');
    await builder.current.build(third, 'chain-three');
    expect(await builder.current.run('chain-three', 'pwd; cat /srv/second; cat /srv/third')).toBe(
      '/srv\nyes /srv\nfirst\nsecond',
    );
  });

  it('for gateways and dev containers call the programs of those templates', { tags: 'long' }, async () => {
    const program = (name: string) =>
      `printf '#!/bin/sh\\necho "${name} $*" >> /calls\\n' > /usr/local/bin/${name} && chmod +x /usr/local/bin/${name}`;
    const root = { user: 'root' };
    await builder.current.build(
      Template().fromBaseImage().runCmd(program('mcp-gateway'), root),
      'mcp-gateway',
    );
    await builder.current.build(
      Template().fromTemplate('mcp-gateway').addMcpServer(['exa', 'time']),
      'with-mcp',
    );
    expect(await builder.current.run('with-mcp', 'cat /calls')).toBe('mcp-gateway pull exa time');
    const prepare = `printf '#!/bin/sh\\necho "#"\\n' > /prepare-exec.sh && chmod +x /prepare-exec.sh`;
    await builder.current.build(
      Template()
        .fromBaseImage()
        .runCmd([program('devcontainer'), prepare], root),
      'devcontainer',
    );
    const container = Template()
      .fromTemplate('devcontainer')
      .betaDevContainerPrebuild('/work')
      .betaSetDevContainerStart('/work');
    await builder.current.build(container, 'with-devcontainer');
    expect(await builder.current.run('with-devcontainer', 'cat /calls; ls /devcontainer.up')).toBe(
      'devcontainer build --workspace-folder /work\ndevcontainer up --workspace-folder /work\n/devcontainer.up',
    );
  });
});
