import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, OTHER_USER, startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await startTestDaemon();
});
afterAll(() => daemon?.stop());

/** A terminal with a plain shell prompt, and what it has shown so far. */
async function openTerminal(size = { cols: 80, rows: 24 }) {
  let shown = '';
  const handle = await daemon.sandbox.pty.create({
    ...size,
    user: OTHER_USER,
    cwd: '/tmp',
    envs: { PS1: '$ ' },
    onData: (bytes) => {
      shown += Buffer.from(bytes).toString();
    },
  });
  return {
    handle,
    shown: () => shown,
    type: (text: string) => daemon.sandbox.pty.sendInput(handle.pid, Buffer.from(text)),
    see: (pattern: RegExp) => eventually(() => pattern.test(shown), `${pattern} in ${JSON.stringify(shown)}`),
  };
}

it('gives the program a terminal of the asked size, and its resizes', async () => {
  const terminal = await openTerminal({ cols: 101, rows: 33 });
  await terminal.type('tty; stty size\n');
  await terminal.see(/\/dev\/pts\/\d+[\s\S]*33 101/);
  await daemon.sandbox.pty.resize(terminal.handle.pid, { cols: 55, rows: 11 });
  await terminal.type('stty size\n');
  await terminal.see(/11 55/);
  await terminal.handle.kill();
});

it('is the controlling terminal: job control works and Ctrl-C interrupts the foreground job only', async () => {
  const terminal = await openTerminal();
  await terminal.type('echo ready-$((1+1)); sleep 100; echo interrupted=$?\n');
  await terminal.see(/ready-2/);
  await terminal.type('\x03');
  await terminal.type('echo after=$?\n');
  await terminal.see(/after=130/);
  await terminal.type('sleep 50 &\njobs; kill %1\n');
  await terminal.see(/Running +sleep 50/);
  await terminal.handle.kill();
});

it('takes the programs in it along when it is killed', async () => {
  const terminal = await openTerminal();
  await terminal.type("echo pid=$$; sh -c 'echo child=$$; exec sleep 600'\n");
  await terminal.see(/child=\d+\r/);
  const child = Number(/child=(\d+)\r/.exec(terminal.shown())?.[1]);
  await terminal.handle.kill();
  await eventually(() => !existsSync(`/proc/${child}`), 'the program is gone');
});

it('runs as its user and ends with the exit code of its shell', async () => {
  const terminal = await openTerminal();
  await terminal.type('echo "I am $(id -un)"; exit 7\n');
  await expect(terminal.handle.wait()).rejects.toMatchObject({ exitCode: 7 });
  await terminal.see(new RegExp(`I am ${OTHER_USER}\r\n`));
});

it('shows all of a long output', async () => {
  const terminal = await openTerminal();
  await terminal.type('seq 1 60000; echo finished-$((1+1))\n');
  await terminal.see(/59999\r\n60000\r\nfinished-2/);
  await terminal.handle.kill();
});

it('takes a long input, also while its program is not reading', async () => {
  const terminal = await openTerminal();
  await terminal.type('stty -echo -icanon; echo ready-$((1+1)); sleep 1; head -c 100000 | wc -c\n');
  await terminal.see(/ready-2/);
  await terminal.type('x'.repeat(100_000));
  await terminal.see(/100000\r\n/);
  await terminal.handle.kill();
});

it('can be joined by a second client', async () => {
  const terminal = await openTerminal();
  let shown = '';
  await daemon.sandbox.pty.connect(terminal.handle.pid, {
    onData: (bytes) => {
      shown += Buffer.from(bytes).toString();
    },
  });
  await terminal.type('echo both-$((40+2))\n');
  await terminal.see(/both-42/);
  await eventually(() => shown.includes('both-42'), 'the output at the second client');
  expect(await daemon.sandbox.pty.kill(terminal.handle.pid)).toBe(true);
});

it('refuses to be used like pipes', async () => {
  const terminal = await openTerminal();
  const process = { pid: terminal.handle.pid };
  const stdin = await daemon.rpc('process.Process/SendInput', { process, input: { stdin: 'eA==' } });
  expect(stdin.body).toMatchObject({
    code: 'internal',
    message: expect.stringContaining('tty assigned'),
  });
  const close = await daemon.rpc('process.Process/CloseStdin', { process });
  expect(close.body).toMatchObject({
    code: 'unknown',
    message: expect.stringContaining('cannot close stdin for PTY process'),
  });
  await terminal.handle.kill();
});
