import { randomUUID } from 'node:crypto';
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from './image.ts';
import { startRegistry, type TestRegistry } from './registry.ts';
import { openSite, SITE_END_MS, SITE_START_MS, type Site } from './site.ts';
import { buildTemplate, runStep, step } from './template.ts';

const slow = { timeout: 180_000 };
const BUSYBOX = '/usr/bin/busybox';

describe.runIf(process.getuid?.() === 0)('a template on an image of foreign make', () => {
  let site: Site;
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startRegistry({ withPassword: false });
    site = await openSite();
  }, SITE_START_MS);
  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]();
    await site?.[Symbol.asyncDispose]();
  }, SITE_END_MS);

  it('has BusyBox for everything, no bash, and an /etc that may not be written', {
    ...slow,
    tags: 'long',
  }, async () => {
    const image = await pushImage(registry, 'small:1', {
      layers: [
        async (root) => {
          for (const dir of ['bin', 'etc']) await mkdir(join(root, dir));
          await copyFile(BUSYBOX, join(root, 'bin/busybox'));
          for (const name of ['sh', 'ls', 'adduser']) await symlink('busybox', join(root, 'bin', name));
          await writeFile(join(root, 'etc/os-release'), 'ID=alpine\n');
          await writeFile(
            join(root, 'etc/passwd'),
            'root:x:0:0:root:/root:/bin/sh\nuser:x:4242:4242::/home/user:/bin/sh\n',
          );
          await writeFile(join(root, 'etc/group'), 'root:x:0:\nuser:x:4242:\n');
          for (const name of ['os-release', 'passwd', 'group']) await chmod(join(root, 'etc', name), 0o444);
          await chmod(join(root, 'etc'), 0o555);
          return undefined;
        },
      ],
      config: { Env: ['FROM_IMAGE=yes'], WorkingDir: '/nowhere', User: '4242:4242', Cmd: ['/nothing'] },
    });
    const built = await buildTemplate(site, {
      image: { reference: image },
      steps: [
        runStep(
          'test "$FROM_IMAGE" = yes && test "$PWD" = /home/user && test "$(id -u)" = 4242 && touch ~/mine',
        ),
        step('USER', ['worker']),
        runStep('test "$(id -un)" = worker && test -O ~/.bashrc && [[ -n $BASH_VERSION ]]'),
        runStep('test "$(stat -c %a /etc)" = 555 && touch /usr/local/root-was-here', 'root'),
      ],
    });
    expect(built.messages.at(-1)).toMatch(/^Build finished/);
    expect(built.messages).toContainEqual(expect.stringMatching(/^\[base\] FROM .*small:1 \[/));
    const again = await buildTemplate(site, { image: { reference: image } });
    expect(again.messages).not.toContain('[base] Provisioning');
  });

  it('has one program and nothing else, and a server that the ready command finds', slow, async () => {
    const image = await pushImage(registry, 'distroless:1', {
      layers: [
        async (root) => {
          await mkdir(join(root, 'app'));
          await copyFile(BUSYBOX, join(root, 'app/httpd'));
          await writeFile(join(root, 'app/index.html'), 'served');
          return undefined;
        },
      ],
      config: { User: '65532', Entrypoint: ['/app/httpd'] },
    });
    const teamId = randomUUID();
    for (const readyCommand of [
      '[ -n "$(ss -Htuln sport = :8080)" ]',
      'curl -s -o /dev/null -w "%{http_code}" "http://localhost:8080/index.html" | grep -q "200"',
      "pgrep 'httpd' > /dev/null",
    ]) {
      const built = await buildTemplate(site, {
        teamId,
        image: { reference: image },
        steps: [
          runStep('test "$(sudo sh -c \'id -u; echo $SUDO_USER\' | xargs)" = "0 user"'),
          step('USER', ['65532']),
          runStep('test "$(id -u)" = 65532 && ls / | grep -q app'),
        ],
        startCommand: '/app/httpd -f -p 8080 -h /app',
        readyCommand,
      });
      expect(built.messages.join('\n')).toContain('Template is ready');
      expect(built.messages.at(-1)).toMatch(/^Build finished/);
    }
  });

  it('that cannot be had fails in the base', slow, async () => {
    const reference = `${registry.host}/absent:1`;
    const failed = await buildTemplate(site, { image: { reference } });
    expect(failed.state).toMatchObject({
      case: 'failure',
      value: {
        step: 'base',
        message: `image '${reference}' not found: the image or tag does not exist in the registry`,
      },
    });
  });
});
