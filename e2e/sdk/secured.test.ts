import { AuthenticationError, Sandbox } from 'e2b';
import { Sandbox as OlderSandbox } from 'e2b-2-19';
import { describe, expect, it } from 'vitest';
import { send } from '../setup/http.ts';
import { connection, rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();

/** The SDK's object for a sandbox, holding another token or none. */
function withToken(envdAccessToken: string | undefined): Sandbox {
  return new Sandbox({
    ...connection,
    sandboxId: sandbox.current.sandboxId,
    sandboxDomain: sandbox.current.sandboxDomain,
    envdVersion: '0.6.13',
    ...(envdAccessToken !== undefined && { envdAccessToken }),
  });
}

const calls: [string, (with_: Sandbox) => Promise<unknown>][] = [
  ['commands.run', ({ commands }) => commands.run('true')],
  ['commands.list', ({ commands }) => commands.list()],
  ['commands.kill', ({ commands }) => commands.kill(1)],
  ['commands.connect', ({ commands }) => commands.connect(1)],
  ['commands.sendStdin', ({ commands }) => commands.sendStdin(1, 'x')],
  ['files.read', ({ files }) => files.read('/etc/hostname')],
  ['files.write', ({ files }) => files.write('/tmp/x', 'x')],
  ['files.list', ({ files }) => files.list('/')],
  ['files.getInfo', ({ files }) => files.getInfo('/')],
  ['files.makeDir', ({ files }) => files.makeDir('/tmp/x')],
  ['files.rename', ({ files }) => files.rename('/tmp/x', '/tmp/y')],
  ['files.remove', ({ files }) => files.remove('/tmp/x')],
  ['files.watchDir', ({ files }) => files.watchDir('/tmp', () => {})],
  ['pty.create', ({ pty }) => pty.create({ cols: 80, rows: 24, onData: () => {} })],
  ['pty.resize', ({ pty }) => pty.resize(1, { cols: 80, rows: 24 })],
  ['pty.sendInput', ({ pty }) => pty.sendInput(1, new Uint8Array(1))],
];

describe('a sandbox made by the current SDK', () => {
  it.each(calls)('refuses %s without its token, with a wrong one and with another’s', async (_, call) => {
    const tokens = [undefined, '0'.repeat(64), sandbox.current.sandboxId];
    for (const token of tokens)
      expect(await rejection(call(withToken(token)))).toBeInstanceOf(AuthenticationError);
  });

  it('tells anybody that it is running, and nothing else', async () => {
    expect(await withToken(undefined).isRunning()).toBe(true);
    for (const path of ['/metrics', '/envs', '/files?path=/etc/hostname']) {
      const answer = await send<{ code: number }>({
        method: 'GET',
        url: connection.sandboxUrl + path,
        headers: { 'E2b-Sandbox-Id': sandbox.current.sandboxId, 'E2b-Sandbox-Port': '49983' },
      });
      expect([path, answer.status, answer.body.code]).toEqual([path, 401, 401]);
    }
  });

  it('keeps the control plane’s endpoints from everybody, token or not', async () => {
    const { envdAccessToken } = sandbox.current as unknown as { envdAccessToken: string };
    for (const path of [
      '/init',
      '/freeze',
      '/unfreeze',
      '/upgrade',
      '//init',
      '/x/../init',
      '/%69nit',
      '/init/',
    ]) {
      const answer = await send<{ code: number; message: string }>({
        method: 'POST',
        url: connection.sandboxUrl + path,
        headers: {
          'E2b-Sandbox-Id': sandbox.current.sandboxId,
          'E2b-Sandbox-Port': '49983',
          'X-Access-Token': envdAccessToken,
          'Content-Type': 'application/json',
          'Content-Length': 2,
        },
        body: '{}',
      });
      expect([path, answer.status]).toEqual([path, 404]);
      expect(answer.body.message).toContain('reserved for the E2B control plane');
    }
    expect((await sandbox.current.commands.run('echo still here')).stdout).toBe('still here\n');
  });

  it('hides its token from what runs in it', async () => {
    const { envdAccessToken } = sandbox.current as unknown as { envdAccessToken: string };
    const { stdout } = await sandbox.current.commands.run(
      'cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr "\\0" "\\n"; grep -rs . /run/e2b /run/islet; env',
    );
    expect(stdout).not.toContain(envdAccessToken);
  });
});

describe('a sandbox made by an older SDK', () => {
  it('is open to whoever knows its id with `secure: false`, and signs no URL', async () => {
    const open = await OlderSandbox.create({ ...connection, timeoutMs: 60_000, secure: false });
    try {
      const anyone = new Sandbox({ ...connection, sandboxId: open.sandboxId, envdVersion: '0.6.13' });
      expect((await anyone.commands.run('echo open')).stdout).toBe('open\n');
      await anyone.files.write('x', '1');
      expect(await open.files.read('x')).toBe('1');
      expect(await rejection(anyone.downloadUrl('x', { useSignatureExpiration: 60 }))).toBeInstanceOf(Error);
    } finally {
      await open.kill();
    }
  });

  it('is secured with `secure: true`', async () => {
    const secured = await OlderSandbox.create({ ...connection, timeoutMs: 60_000, secure: true });
    try {
      expect((await secured.commands.run('echo mine')).stdout).toBe('mine\n');
      const anyone = new Sandbox({ ...connection, sandboxId: secured.sandboxId, envdVersion: '0.6.13' });
      expect(await rejection(anyone.commands.run('true'))).toBeInstanceOf(AuthenticationError);
    } finally {
      await secured.kill();
    }
  });
});
