import {
  FileNotFoundError,
  type FilesystemEvent,
  InvalidArgumentError,
  TimeoutError,
  type WatchHandle,
} from 'e2b';
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();
const handles: WatchHandle[] = [];
afterEach(() => Promise.all(handles.splice(0).map((handle) => handle.stop())));

type Options = Parameters<typeof sandbox.current.files.watchDir>[2];

/** Watches a new folder, or one that is there, and collects what is told of it. */
async function watch(dir: string, opts: Options = {}): Promise<FilesystemEvent[]> {
  const { files } = sandbox.current;
  await files.makeDir(dir);
  const events: FilesystemEvent[] = [];
  handles.push(await files.watchDir(dir, (event) => void events.push(event), opts));
  return events;
}

/** Waits until an event of that type and name is told. */
const told = (events: FilesystemEvent[], type: string, name: string) =>
  until(
    `${type} ${name} is told`,
    5_000,
    () => events.map((event) => `${event.type} ${event.name}`),
    (texts) => texts.includes(`${type} ${name}`),
  );

describe('watchDir', () => {
  it('tells of a file that is made, written, changed in mode, renamed and removed, in order', async () => {
    const { files, commands } = sandbox.current;
    const events = await watch('life');
    await files.write('life/file.txt', 'x');
    await told(events, 'write', 'file.txt');
    await commands.run('chmod 600 life/file.txt');
    await told(events, 'chmod', 'file.txt');
    await files.rename('life/file.txt', 'life/renamed.txt');
    await told(events, 'create', 'renamed.txt');
    await files.remove('life/renamed.txt');
    const texts = await told(events, 'remove', 'renamed.txt');
    const order = [
      'create file.txt',
      'write file.txt',
      'rename file.txt',
      'create renamed.txt',
      'remove renamed.txt',
    ];
    const places = order.map((text) => texts.indexOf(text));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((one, other) => one - other));
    expect(events.every((event) => event.entry === undefined)).toBe(true);
  });

  it('tells what commands do, of folders, too', async () => {
    const events = await watch('commanded');
    await sandbox.current.commands.run('cd commanded && mkdir dir && echo x >> file && rmdir dir');
    await told(events, 'create', 'dir');
    await told(events, 'write', 'file');
    await told(events, 'remove', 'dir');
  });

  it('tells nothing of folders below unless it is asked to', async () => {
    const { files } = sandbox.current;
    await files.makeDir('flat/sub');
    const events = await watch('flat');
    await files.write('flat/sub/inner', 'x');
    await files.write('flat/last', 'x');
    await told(events, 'write', 'last');
    expect(events.filter(({ name }) => name.includes('inner'))).toEqual([]);
  });

  it('tells of folders below with `recursive`, of those made later, too', async () => {
    const { files, commands } = sandbox.current;
    await files.makeDir('tree/old/deep');
    const events = await watch('tree', { recursive: true });
    await files.write('tree/old/deep/one', '1');
    await told(events, 'write', 'old/deep/one');
    await commands.run('mkdir -p tree/new/er');
    await told(events, 'create', 'new');
    await until(
      'what happens in a new folder is told',
      5_000,
      async () => {
        await files.write('tree/new/er/two', '2');
        return events.map(({ type, name }) => `${type} ${name}`);
      },
      (texts) => texts.includes('write new/er/two'),
    );
  });

  it('describes what an event is about with `includeEntry`', async () => {
    const { files } = sandbox.current;
    const events = await watch('entries', { includeEntry: true });
    await files.write('entries/file', '12345');
    await told(events, 'write', 'file');
    await files.remove('entries/file');
    await told(events, 'remove', 'file');
    const written = events.filter(({ type }) => type === 'write').at(-1);
    expect(written?.entry).toMatchObject({
      name: 'file',
      path: '/home/user/entries/file',
      type: 'file',
      size: 5,
      owner: 'user',
    });
    expect(events.find(({ type }) => type === 'remove')?.entry).toBeUndefined();
  });

  it('takes names of all kinds', async () => {
    const events = await watch('näme 🏝');
    await sandbox.current.files.write('näme 🏝/ü b.txt', 'x');
    await told(events, 'write', 'ü b.txt');
  });

  it('tells 300 files, one by one', async () => {
    const events = await watch('storm');
    await sandbox.current.commands.run('cd storm && for i in $(seq 300); do : > f$i; done');
    await until(
      'all are told',
      10_000,
      () => new Set(events.filter(({ type }) => type === 'create').map(({ name }) => name)).size,
      (count) => count === 300,
    );
  });

  it('serves several watchers of one folder', async () => {
    const [one, other] = [await watch('twice'), await watch('twice')];
    await sandbox.current.files.write('twice/x', '1');
    await Promise.all([told(one, 'write', 'x'), told(other, 'write', 'x')]);
  });

  it('starts at the home of the user it is asked for', async () => {
    await sandbox.current.files.makeDir('watched', { user: 'root' });
    const events: FilesystemEvent[] = [];
    handles.push(
      await sandbox.current.files.watchDir('watched', (event) => void events.push(event), { user: 'root' }),
    );
    await sandbox.current.files.write('/root/watched/x', '1');
    await told(events, 'create', 'x');
  });

  it('accepts `allowNetworkMounts` for a folder that is none', async () => {
    const events = await watch('local', { allowNetworkMounts: true });
    await sandbox.current.files.write('local/x', '1');
    await told(events, 'create', 'x');
  });
});

describe('the end of a watch', () => {
  /** Watches until onExit is called; gives a promise of what it was called with. */
  async function watchToEnd(opts: Options = {}): Promise<{ handle: WatchHandle; end: Promise<unknown> }> {
    let exited: (error?: Error) => void = () => {};
    const end = new Promise((resolve) => {
      exited = resolve;
    });
    await sandbox.current.files.makeDir('ending');
    const handle = await sandbox.current.files.watchDir('ending', () => {}, { ...opts, onExit: exited });
    return { handle, end };
  }

  it('comes with stop, after which nothing is told', async () => {
    const events: FilesystemEvent[] = [];
    await sandbox.current.files.makeDir('stopped');
    const handle = await sandbox.current.files.watchDir('stopped', (event) => void events.push(event));
    await handle.stop();
    await sandbox.current.files.write('stopped/x', '1');
    const witness = await watch('stopped');
    await sandbox.current.files.write('stopped/y', '1');
    await told(witness, 'write', 'y');
    expect(events).toEqual([]);
  });

  it('comes with its timeout, and onExit is told so', async () => {
    const { end } = await watchToEnd({ timeoutMs: 1_500 });
    expect(await end).toBeInstanceOf(TimeoutError);
  });

  it('does not come with a timeout of 0', async () => {
    const { handle, end } = await watchToEnd({ timeoutMs: 0 });
    const first = await Promise.race([
      end.then(() => 'ended'),
      new Promise((resolve) => setTimeout(resolve, 700, 'open')),
    ]);
    expect(first).toBe('open');
    await handle.stop();
    await end;
  });
});

describe('watchDir is refused', () => {
  it('where there is no folder', async () => {
    expect(await rejection(sandbox.current.files.watchDir('no-folder', () => {}))).toBeInstanceOf(
      FileNotFoundError,
    );
  });

  it('for a file', async () => {
    expect(await rejection(sandbox.current.files.watchDir('/etc/passwd', () => {}))).toBeInstanceOf(
      InvalidArgumentError,
    );
  });
});
