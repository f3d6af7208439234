import {
  type Sandbox,
  Template,
  waitForFile,
  waitForPort,
  waitForProcess,
  waitForTimeout,
  waitForURL,
} from 'e2b';
import { describe, expect, it } from 'vitest';
import { send } from '../setup/http.ts';
import { BUILD_MS, sharedBuilder } from './builder.ts';

const builder = sharedBuilder('Template starts');

/** A web server that says since when it runs, and how often a server was started. */
const SERVER = `
echo started >> /home/user/starts
exec node -e '
const since = process.hrtime.bigint().toString() + "-" + process.pid;
require("node:http").createServer((request, response) => response.end(since)).listen(8080);
'`;

describe('start and ready commands', { timeout: BUILD_MS }, () => {
  it('leave a server running in every sandbox: twenty at once answer, and none started it', {
    tags: 'long',
  }, async () => {
    const template = Template().fromBaseImage().setStartCmd(SERVER, waitForURL('http://localhost:8080'));
    const { log } = await builder.current.build(template, 'web');
    expect(log.some((line) => line.startsWith('Running start command: '))).toBe(true);
    expect(log.some((line) => line.startsWith('Waiting for template to be ready: '))).toBe(true);
    expect(log).toContain('Template is ready');
    const sandboxes = await Promise.all(Array.from({ length: 20 }, () => builder.current.start('web')));
    const answers = await Promise.all(
      sandboxes.map(({ sandboxId }) =>
        send({
          method: 'GET',
          url: `${builder.current.options.sandboxUrl}/`,
          headers: { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': '8080' },
        }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    // One process, started once while the template was built, answers in all of them.
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    const starts = await Promise.all(sandboxes.map(({ files }) => files.read('/home/user/starts')));
    expect(new Set(starts)).toEqual(new Set(['started\n']));
    await Promise.all(sandboxes.map((sandbox) => sandbox.kill()));
  });

  it.each([
    ['waitForPort', 'python3 -m http.server 9000', waitForPort(9000), 'ss -Htln sport = :9000 | wc -l', '1'],
    ['waitForProcess', 'exec sleep 12345', waitForProcess('sleep'), 'pgrep -x sleep | wc -l', '1'],
    [
      'waitForFile',
      'sleep 1; touch /tmp/up; sleep infinity',
      waitForFile('/tmp/up'),
      'ls /tmp/up',
      '/tmp/up',
    ],
    [
      'waitForTimeout',
      'sleep 1; touch /tmp/up; sleep infinity',
      waitForTimeout(4_000),
      'ls /tmp/up',
      '/tmp/up',
    ],
  ])('%s holds the snapshot back until it is so', async (name, start, ready, look, seen) => {
    const template = Template().fromBaseImage().setStartCmd(start, ready);
    await builder.current.build(template, name.toLowerCase());
    expect(await builder.current.run(name.toLowerCase(), look)).toBe(seen);
  });

  it('run as the last user, in the last folder, with the environment of the build', async () => {
    const template = Template()
      .fromBaseImage()
      .setEnvs({ MODE: 'serving' })
      .setUser('server')
      .setWorkdir('/home/server/app')
      .setStartCmd(
        'echo "$(whoami) $(pwd) $MODE" > told; sleep infinity',
        waitForFile('/home/server/app/told'),
      );
    await builder.current.build(template, 'surroundings');
    expect(await builder.current.run('surroundings', 'cat told')).toBe('server /home/server/app serving');
  });

  it('wait without a start command too', async () => {
    await builder.current.build(
      Template().fromBaseImage().runCmd('touch ready').setReadyCmd('[ -f ~/ready ]'),
      'only-ready',
    );
    expect(await builder.current.run('only-ready', 'ls ~/ready')).toBe('/home/user/ready');
  });

  it('are those of the template that is built on, unless they are set anew', async () => {
    const first = Template().fromBaseImage().setStartCmd('sleep 1111', waitForProcess('sleep'));
    await builder.current.build(first, 'parent');
    await builder.current.build(Template().fromTemplate('parent').runCmd('true'), 'heir');
    expect(await builder.current.run('heir', 'pgrep -a sleep | cut -d" " -f2-')).toBe('sleep 1111');
    const other = Template().fromTemplate('parent').setStartCmd('sleep 2222', waitForProcess('sleep'));
    await builder.current.build(other, 'other');
    expect(await builder.current.run('other', 'pgrep -a sleep | cut -d" " -f2-')).toBe('sleep 2222');
  });

  it('keep a rebuilt template from changing under sandboxes that run or are paused', async () => {
    const make = (version: string) =>
      Template()
        .fromBaseImage()
        .runCmd(`head -c 20M /dev/urandom > big && sha256sum big > sum && echo ${version} > version`)
        .setStartCmd(`exec sleep ${version}`, waitForProcess('sleep'));
    const look = 'cat version; pgrep -a sleep | cut -d" " -f2-; sha256sum --check --status sum && echo whole';
    const seen = async (sandbox: Sandbox) => (await sandbox.commands.run(look)).stdout.trim().split('\n');
    await builder.current.build(make('1111'), 'rebuilt');
    const [running, paused] = [
      await builder.current.start('rebuilt'),
      await builder.current.start('rebuilt'),
    ];
    await paused.pause();
    await builder.current.build(make('2222'), 'rebuilt');
    // Only now do the old ones read their files.
    for (const sandbox of [running, await paused.connect()]) {
      expect(await seen(sandbox)).toEqual(['1111', 'sleep 1111', 'whole']);
    }
    expect(await seen(await builder.current.start('rebuilt'))).toEqual(['2222', 'sleep 2222', 'whole']);
  });
});
