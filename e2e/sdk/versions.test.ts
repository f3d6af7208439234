import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { type OlderDomain, serveOlderDomain } from './older-domain.ts';
import { connection, rejection } from './sandbox.ts';

/** What all versions of the SDK have in common. */
interface Handle {
  pid: number;
  stdout: string;
  kill(): Promise<boolean>;
  wait(): Promise<{ stdout: string; exitCode: number }>;
}
interface Box {
  sandboxId: string;
  commands: {
    run(command: string, opts: { background: true; stdin?: boolean; timeoutMs?: number }): Promise<Handle>;
    run(command: string, opts?: object): Promise<{ stdout: string; stderr: string; exitCode: number }>;
    list(): Promise<{ pid: number; cmd: string; args: string[] }[]>;
    kill(pid: number): Promise<boolean>;
    connect(pid: number): Promise<Handle>;
    sendStdin(pid: number, text: string): Promise<void>;
  };
  files: {
    write(path: string, data: string | ArrayBuffer | Blob): Promise<{ path: string }>;
    read(path: string, opts?: { format: 'bytes' }): Promise<string | Uint8Array>;
    list(path: string): Promise<{ name: string; type?: string; path: string }[]>;
    exists(path: string): Promise<boolean>;
    makeDir(path: string): Promise<boolean>;
    rename(from: string, to: string): Promise<{ path: string }>;
    remove(path: string): Promise<void>;
    watchDir(
      path: string,
      onEvent: (event: { name: string; type: string }) => void,
      opts?: object,
    ): Promise<{ stop(): Promise<void> }>;
  };
  pty: {
    create(opts: { cols: number; rows: number; onData: (data: Uint8Array) => void }): Promise<Handle>;
    sendInput(pid: number, data: Uint8Array): Promise<void>;
    resize(pid: number, size: { cols: number; rows: number }): Promise<void>;
    kill(pid: number): Promise<boolean>;
  };
  getHost(port: number): string;
  isRunning(): Promise<boolean>;
  setTimeout(ms: number): Promise<void>;
  kill(): Promise<unknown>;
  downloadUrl(path: string): Promise<string>;
}
interface Sdk {
  Sandbox: {
    create(opts: object): Promise<Box>;
    connect(id: string, opts: object): Promise<Box>;
    kill(id: string, opts: object): Promise<boolean>;
    list(opts: object): unknown;
  };
  TimeoutError: abstract new () => Error;
}

/** A list is an array in version 1 and comes in pages since. */
async function listed(answer: unknown): Promise<{ sandboxId: string }[]> {
  const pages = answer as { nextItems?: () => Promise<{ sandboxId: string }[]> };
  return pages.nextItems ? pages.nextItems() : ((await answer) as { sandboxId: string }[]);
}

let older: OlderDomain;
beforeAll(async () => {
  older = await serveOlderDomain();
});
afterAll(() => older?.[Symbol.asyncDispose]());

const versions: [string, () => Promise<unknown>, () => object][] = [
  ['2.51.0', () => import('e2b'), () => connection],
  ['2.19.0', () => import('e2b-2-19'), () => connection],
  ['1.9.0', () => import('e2b-1'), () => ({ apiKey: connection.apiKey, domain: older.domain })],
];

describe.each(versions)('e2b %s', (version, load, options) => {
  let sdk: Sdk;
  let box: Box;
  beforeAll(async () => {
    sdk = (await load()) as Sdk;
    box = await sdk.Sandbox.create({
      ...options(),
      timeoutMs: 600_000,
      metadata: { version },
      envs: { GIVEN: 'here' },
    });
  });
  afterAll(() => box?.kill());

  it('runs commands, with their output, exit codes, environment and users', async () => {
    expect(await box.commands.run('echo out $GIVEN; echo err >&2')).toMatchObject({
      stdout: 'out here\n',
      stderr: 'err\n',
      exitCode: 0,
    });
    expect(await rejection(box.commands.run('exit 3'))).toMatchObject({
      exitCode: 3,
      name: 'CommandExitError',
    });
    expect(
      await box.commands.run('id -un; pwd', { user: 'root', cwd: '/tmp', envs: { A: 'b' } }),
    ).toMatchObject({
      stdout: 'root\n/tmp\n',
    });
    const chunks: string[] = [];
    await box.commands.run('echo a; sleep 0.1; echo b', {
      onStdout: (text: string) => void chunks.push(text),
    });
    expect(chunks.join('')).toBe('a\nb\n');
  });

  it('starts commands in the background, lists, feeds, connects to and kills them', async () => {
    const handle = await box.commands.run('cat', { background: true, stdin: true });
    expect(await box.commands.list()).toMatchObject([
      { pid: handle.pid, cmd: '/bin/bash', args: ['-l', '-c', 'cat'] },
    ]);
    const other = await box.commands.connect(handle.pid);
    await box.commands.sendStdin(handle.pid, 'fed\n');
    for (const { stdout } of [handle, other]) expect(typeof stdout).toBe('string');
    await until(
      'both have it',
      5_000,
      () => [handle.stdout, other.stdout],
      (texts) => texts.every((text) => text === 'fed\n'),
    );
    expect(await box.commands.kill(handle.pid)).toBe(true);
    expect(await rejection(handle.wait())).toMatchObject({ exitCode: -1 });
    expect(await box.commands.kill(4_000_000)).toBe(false);
  });

  it('ends commands that take too long', async () => {
    expect(await rejection(box.commands.run('sleep 30', { timeoutMs: 400 }))).toBeInstanceOf(
      sdk.TimeoutError,
    );
  });

  it('writes, reads, lists, moves and removes files', async () => {
    const bytes = new Uint8Array(100_000).map((_, index) => index % 251);
    expect(await box.files.write('dir/text.txt', 'ünï 🏝')).toMatchObject({ path: '/home/user/dir/text.txt' });
    await box.files.write('/home/user/dir/bytes.bin', bytes.buffer as ArrayBuffer);
    await box.files.write('dir/blob', new Blob(['blob']));
    expect(await box.files.read('dir/text.txt')).toBe('ünï 🏝');
    expect(await box.files.read('dir/bytes.bin', { format: 'bytes' })).toEqual(bytes);
    expect((await box.files.list('dir')).map(({ name, type }) => [name, type])).toEqual([
      ['blob', 'file'],
      ['bytes.bin', 'file'],
      ['text.txt', 'file'],
    ]);
    expect(await box.files.makeDir('made/deep')).toBe(true);
    expect(await box.files.makeDir('made/deep')).toBe(false);
    expect((await box.files.rename('dir/blob', 'made/blob')).path).toBe('/home/user/made/blob');
    await box.files.remove('dir');
    expect(await box.files.exists('dir')).toBe(false);
    expect(await box.files.exists('made/blob')).toBe(true);
    expect(await rejection(box.files.read('no/such/file'))).toMatchObject({
      message: expect.stringContaining('does not exist'),
    });
  });

  it('watches folders', async () => {
    await box.files.makeDir('watched/sub');
    const events: string[] = [];
    const watch = await box.files.watchDir(
      'watched',
      ({ name, type }) => void events.push(`${type} ${name}`),
      {
        recursive: true,
      },
    );
    await box.files.write('watched/sub/file', 'x');
    await until(
      'the events are told',
      5_000,
      () => events,
      (texts) => texts.includes('create sub/file') && texts.includes('write sub/file'),
    );
    await watch.stop();
  });

  it('opens terminals', async () => {
    let shown = '';
    const terminal = await box.pty.create({
      cols: 91,
      rows: 31,
      onData: (data) => {
        shown += new TextDecoder().decode(data);
      },
    });
    const type = (text: string) => box.pty.sendInput(terminal.pid, new TextEncoder().encode(text));
    const shows = (pattern: RegExp) =>
      until(
        `the terminal shows ${pattern}`,
        10_000,
        () => shown,
        (text) => pattern.test(text),
      );
    await type('stty size\n');
    await shows(/31 91/);
    await box.pty.resize(terminal.pid, { cols: 92, rows: 32 });
    await type('stty size\n');
    await shows(/32 92/);
    expect(await box.pty.kill(terminal.pid)).toBe(true);
  });

  it('reaches servers in the sandbox, and signs URLs', async () => {
    await box.files.write('www/index.html', 'served');
    const server = await box.commands.run('python3 -m http.server 8000 -d www', {
      background: true,
      timeoutMs: 0,
    });
    const answer = await until(
      'it answers',
      10_000,
      () => fetch(`http://${box.getHost(8_000)}/`),
      ({ status }) => status === 200,
    );
    expect(await answer.text()).toBe('served');
    await server.kill();
    expect(await (await fetch(await box.downloadUrl('www/index.html'))).text()).toBe('served');
  });

  it('connects to a running sandbox, lists it, and ends it', async () => {
    const again = await sdk.Sandbox.connect(box.sandboxId, options());
    expect(await again.files.read('www/index.html')).toBe('served');
    const list = await listed(sdk.Sandbox.list({ ...options(), query: { metadata: { version } } }));
    expect(list.map(({ sandboxId }) => sandboxId)).toContain(box.sandboxId);
    await box.setTimeout(90_000);
    expect(await box.isRunning()).toBe(true);
    expect(await sdk.Sandbox.kill(box.sandboxId, options())).toBe(true);
    expect(await sdk.Sandbox.kill(box.sandboxId, options())).toBe(false);
    expect(await box.isRunning()).toBe(false);
  });

  it('is told when the time of a sandbox is over', async () => {
    const short = await sdk.Sandbox.create({ ...options(), timeoutMs: 1_000 });
    await until(
      'it has ended',
      15_000,
      () => short.isRunning(),
      (running) => !running,
    );
    expect(await rejection(short.files.list('/'))).toBeInstanceOf(sdk.TimeoutError);
  });
});
