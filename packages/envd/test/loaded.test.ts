import { expect, it } from 'vitest';
import { eventually, startTestDaemon } from './harness.ts';

/** Has the daemon list what it loaded of Node, when it gets a signal that it otherwise passes over. */
const LIST_LOADED = `process.on('SIGUSR2', () =>
  process.stderr.write('loaded ' + process.moduleLoadList.join(',') + ' end')
)`;

it('never loads what Node has for HTTP clients, which would take memory in every sandbox', async () => {
  const preload = `data:text/javascript,${encodeURIComponent(LIST_LOADED)}`;
  const daemon = await startTestDaemon({ nodeOptions: ['--import', preload] });
  try {
    const { commands, files } = daemon.sandbox;
    await daemon.init({ accessToken: undefined, envVars: { A: '1' } });
    await commands.run('echo $A', { user: 'root' });
    await commands.run('exit 3', { user: 'root' }).catch(() => {});
    await files.write(`${daemon.directory}/a`, 'text', { user: 'root' });
    await files.list(daemon.directory, { user: 'root' });
    await files.read(`${daemon.directory}/a`, { user: 'root' });
    const watch = await files.watchDir(daemon.directory, () => {}, { user: 'root' });
    await watch.stop();
    process.kill(daemon.pid, 'SIGUSR2');
    const [, loaded = ''] = await eventually(
      () => /loaded (.*) end/s.exec(daemon.log()) ?? undefined,
      'the list',
    );
    expect(loaded).toContain('NativeModule http');
    expect(loaded).not.toContain('undici');
  } finally {
    await daemon.stop();
  }
});
