import { AuthenticationError, E2B, FileNotFoundError, Sandbox } from 'e2b';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { connection, rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();
afterEach(() => vi.unstubAllEnvs());

/** What the user of `./islet up` exports. */
function exportPrinted(): void {
  vi.stubEnv('E2B_API_URL', connection.apiUrl);
  vi.stubEnv('E2B_SANDBOX_URL', connection.sandboxUrl);
  vi.stubEnv('E2B_API_KEY', connection.apiKey);
}

describe('the SDK finds Islet', () => {
  it('by the three exported variables, with nothing in the program', async () => {
    exportPrinted();
    const made = await Sandbox.create();
    expect((await made.commands.run('echo found')).stdout).toBe('found\n');
    expect(await made.files.read('/etc/hostname')).not.toBe('');
    const again = await Sandbox.connect(made.sandboxId);
    expect((await again.commands.run('hostname')).stdout).toBe((await made.commands.run('hostname')).stdout);
    expect(await Sandbox.kill(made.sandboxId)).toBe(true);
  });

  it('by the options of a client', async () => {
    const client = new E2B(connection);
    const made = await client.Sandbox.create({ metadata: { by: 'client' } });
    const page = await client.Sandbox.list({ query: { metadata: { by: 'client' } } }).nextItems();
    expect(page.map(({ sandboxId }) => sandboxId)).toContain(made.sandboxId);
    expect(await made.kill()).toBe(true);
  });

  it('not without a key', async () => {
    vi.stubEnv('E2B_API_KEY', '');
    const { apiUrl, sandboxUrl } = connection;
    expect(await rejection(Sandbox.create({ apiUrl, sandboxUrl }))).toBeInstanceOf(AuthenticationError);
  });
});

describe('a call', () => {
  it('may carry headers of its own', async () => {
    const made = await Sandbox.create({ ...connection, apiHeaders: { 'X-Mine': 'value' } });
    expect(await made.kill()).toBe(true);
  });

  it('that is aborted ends at once, and harms nothing', async () => {
    const { commands, files } = sandbox.current;
    const aborted = AbortSignal.abort();
    for (const call of [
      () => commands.run('true', { signal: aborted }),
      () => commands.list({ signal: aborted }),
      () => files.read('/etc/hostname', { signal: aborted }),
      () => files.write('/tmp/aborted', 'x', { signal: aborted }),
      () => files.list('/', { signal: aborted }),
      () => files.watchDir('/tmp', () => {}, { signal: aborted }),
      () => sandbox.current.pty.create({ cols: 80, rows: 24, onData: () => {}, signal: aborted }),
      () => sandbox.current.isRunning({ signal: aborted }),
    ]) {
      expect(await rejection(call())).toBeInstanceOf(Error);
    }
    expect(await files.exists('/tmp/aborted')).toBe(false);
    expect((await commands.run('echo fine')).stdout).toBe('fine\n');
  });

  it('that is aborted in the middle leaves the sandbox as it was', async () => {
    const { commands } = sandbox.current;
    const caller = new AbortController();
    const running = rejection(
      commands.run('echo started; sleep 20', {
        signal: caller.signal,
        onStdout: () => caller.abort(),
      }),
    );
    expect(await running).toBeInstanceOf(Error);
    expect((await commands.run('echo fine')).stdout).toBe('fine\n');
  });

  it('longer than its request timeout goes on once it has started', async () => {
    const { stdout } = await sandbox.current.commands.run('sleep 3.5; echo done', {
      requestTimeoutMs: 3_000,
    });
    expect(stdout).toBe('done\n');
  });

  it('of many at once is answered', async () => {
    const { files } = sandbox.current;
    await files.write('/tmp/shared', 'x'.repeat(10_000));
    const read = await Promise.all(Array.from({ length: 200 }, () => files.read('/tmp/shared')));
    expect(new Set(read.map((text) => text.length))).toEqual(new Set([10_000]));
  });
});

describe('the address of an MCP gateway', () => {
  it('is a port of the sandbox, without a token if none runs', async () => {
    expect(sandbox.current.getMcpUrl()).toBe(`https://${sandbox.current.getHost(50_005)}/mcp`);
    expect(await rejection(sandbox.current.getMcpToken())).toBeInstanceOf(FileNotFoundError);
  });
});
