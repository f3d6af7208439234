import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from 'tar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSite, SITE_END_MS, SITE_START_MS, type Site } from './site.ts';
import { buildTemplate, env, runStep, step, upload } from './template.ts';

const slow = { timeout: 120_000 };

describe.runIf(process.getuid?.() === 0)("a client's build", () => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite();
  }, SITE_START_MS);
  afterAll(() => site?.[Symbol.asyncDispose](), SITE_END_MS);

  it('runs steps as the user, with what ENV set, and finds them again', slow, async () => {
    const teamId = randomUUID();
    const steps = [
      env('GREETING', 'Hello, World!', 'PATH', `\${PATH}:/my/path`),
      runStep('echo "$GREETING" > greeting && id -un >> greeting && echo "$PATH"; echo oops >&2'),
    ];
    const first = await buildTemplate(site, { teamId, steps });
    expect(first.state).toMatchObject({ case: 'ready', value: { defaultUser: 'user', defaultWorkdir: '' } });
    expect(first.messages).toContainEqual(
      expect.stringMatching(/^\[builder 2\/2\] \[stdout\]: .*:\/my\/path/),
    );
    expect(first.messages).toContain('[builder 2/2] [stderr]: oops');
    const second = await buildTemplate(site, { teamId, steps });
    expect(second.messages).toContainEqual(
      expect.stringMatching(/^CACHED \[builder 1\/2\] ENV GREETING Hello, World! PATH/),
    );
    expect(second.messages).toContainEqual(expect.stringMatching(/^CACHED \[builder 2\/2\] RUN echo/));
    const child = await buildTemplate(site, {
      teamId,
      parent: second.buildId,
      steps: [runStep('test "$(cat ~/greeting)" = "$(printf \'Hello, World!\\nuser\')" && rm ~/greeting')],
    });
    expect(child.state.case).toBe('ready');
    const grandchild = await buildTemplate(site, {
      teamId,
      parent: child.buildId,
      steps: [runStep('test ! -e ~/greeting && test "$GREETING" = "Hello, World!"')],
    });
    expect(grandchild.state.case).toBe('ready');
  });

  it('fails with the step and the words of the command', slow, async () => {
    const failed = await buildTemplate(site, { steps: [runStep('true'), runStep('echo why >&2; exit 3')] });
    expect(failed.state).toMatchObject({
      case: 'failure',
      value: { step: '2', message: "failed to run command 'echo why >&2; exit 3': exit status 3" },
    });
    expect(failed.messages).toContain('[builder 2/2] [stderr]: why');
  });

  it('names the user of a step whom the image does not have', slow, async () => {
    const failed = await buildTemplate(site, { steps: [runStep('whoami', 'nobody-at-all')] });
    const message =
      "failed to run command 'whoami': command failed: unauthenticated: invalid username: 'nobody-at-all'";
    expect(failed.state).toMatchObject({ case: 'failure', value: { step: '1', message } });
  });

  it('copies files with their owners, modes and links', slow, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'islet-context-'));
    const teamId = randomUUID();
    try {
      await writeFile(join(dir, 'run.sh'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
      await writeFile(join(dir, 'data.txt'), 'data');
      await symlink('/etc/hostname', join(dir, 'absolute'));
      const archive = create({ cwd: dir, gzip: true }, ['run.sh', 'data.txt', 'absolute']);
      const filesHash = await upload(site, teamId, archive);
      const copy = (...args: string[]) => step('COPY', args, filesHash);
      const built = await buildTemplate(site, {
        teamId,
        steps: [
          step('WORKDIR', ['/srv/app']),
          copy('.', '.', '', ''),
          copy('data.txt', '/srv/other/', 'root', '0600'),
          copy('data.txt', 'renamed.txt', '', ''),
          copy('*.sh', '/opt/tools', 'root:user', ''),
          runStep('test "$(pwd)" = /srv/app && test "$(./run.sh)" = ran && echo mine >> data.txt'),
          runStep('test "$(readlink absolute)" = /etc/hostname && test -O . && test -O run.sh'),
          runStep('test "$(stat -c %a,%U,%s /srv/other/data.txt)" = 600,root,4', 'root'),
          runStep(
            'test "$(cat renamed.txt)" = data && test "$(stat -c %a,%U:%G /opt/tools/run.sh)" = 755,root:user',
          ),
          runStep('test ! -e /.islet-build'),
        ],
      });
      expect(built.messages.at(-1)).toMatch(/^Build finished/);
      expect(built.state).toMatchObject({ value: { defaultWorkdir: '/srv/app' } });
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('says what is wrong with a COPY', slow, async () => {
    const absent = await buildTemplate(site, { steps: [step('COPY', ['a', 'b', '', ''], 'a'.repeat(64))] });
    expect(absent.state).toMatchObject({
      value: { step: '1', message: expect.stringMatching(/not been uploaded/) },
    });
    const unset = await buildTemplate(site, { steps: [step('COPY', ['a', 'b', '', ''])] });
    expect(unset.state).toMatchObject({ value: { message: 'COPY requires files hash to be set' } });
    const unknown = await buildTemplate(site, { steps: [step('HEALTHCHECK', [])] });
    expect(unknown.state).toMatchObject({
      value: { message: 'command type HEALTHCHECK is not implemented' },
    });
  });

  it('makes users, and the last of them the default', { ...slow, tags: 'long' }, async () => {
    const built = await buildTemplate(site, {
      steps: [
        step('USER', ['builder', 'true']),
        runStep(
          'test "$(id -un)" = builder && test "$PWD" = /home/builder && test -O ~/.bashrc && sudo true',
        ),
        step('WORKDIR', ['/var/deep/er']),
        runStep('touch here'),
        step('USER', ['1234']),
        runStep('test "$(id -u)" = 1234'),
      ],
    });
    expect(built.messages.at(-1)).toMatch(/^Build finished/);
    expect(built.state).toMatchObject({ value: { defaultUser: '1234', defaultWorkdir: '/var/deep/er' } });
  });
});
