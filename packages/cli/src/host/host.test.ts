import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openInstance } from './instance.ts';
import { credentialFile, makeLocalCredentials, readLocalCredentials } from './local-credentials.ts';
import { findPortHolder, listeningInodes } from './port-holders.ts';
import { describePortProblem, findPortProblems } from './ports.ts';
import { sandboxResolvers } from './resolvers.ts';
import { loadSecrets } from './secrets.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-host-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('ports', () => {
  const wish = (port: number, flag = 'api-port') => ({ flag, purpose: 'the API', host: '127.0.0.1', port });

  it('that are in use are reported with who holds them, before anything listens', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      expect((await findPortHolder({ host: '127.0.0.1', port }))?.pid).toBe(process.pid);
      const [problem] = await findPortProblems([wish(port)]);
      expect(problem && describePortProblem(problem)).toMatch(
        new RegExp(`127.0.0.1:${port} for the API: in use by pid ${process.pid} .*--api-port`),
      );
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('that two services want are reported, and 0 is left to the system', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    expect(await findPortProblems([wish(0), wish(0, 'proxy-port')])).toEqual([]);
    const [problem] = await findPortProblems([wish(port), wish(port, 'proxy-port')]);
    expect(problem?.reason).toBe('--api-port has the same port');
  });

  it('on an address that is not of this machine are reported as that', async () => {
    const [problem] = await findPortProblems([{ ...wish(4711), host: '192.0.2.1' }]);
    expect(problem?.reason).toBe('this machine has no address 192.0.2.1');
  });

  it('are found in the kernel’s table only if they are listened on', () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:0BB8 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 222 1`;
    const holding = (host: string, port = 3000) => [...listeningInodes(table, { host, port })];
    expect(holding('127.0.0.1')).toEqual(['111']);
    expect(holding('0.0.0.0')).toEqual(['111']);
    expect(holding('127.0.0.2')).toEqual([]);
    expect(holding('127.0.0.1', 3001)).toEqual([]);
    const everywhere = table.replaceAll('0100007F:0BB8', '00000000:0BB8');
    expect([...listeningInodes(everywhere, { host: '127.0.0.2', port: 3000 })]).toEqual(['111']);
  });
});

describe('secrets', () => {
  it('are made once, for their owner alone, and differ', async () => {
    const first = await loadSecrets(dir);
    expect(first).toEqual(await loadSecrets(dir));
    expect(first.tokenSeed).toMatch(/^[0-9a-f]{64}$/);
    expect(first.tokenSeed).not.toBe(first.adminToken);
    expect((await stat(join(dir, 'secrets/token-seed'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, 'secrets'))).mode & 0o777).toBe(0o700);
  });

  it('are closed again if a restore opened them, and a damaged one is never used', async () => {
    const { tokenSeed } = await loadSecrets(dir);
    const path = join(dir, 'secrets/token-seed');
    await rm(path);
    await writeFile(path, `${tokenSeed}\n`, { mode: 0o644 });
    expect((await loadSecrets(dir)).tokenSeed).toBe(tokenSeed);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await writeFile(path, '');
    await expect(loadSecrets(dir)).rejects.toThrow(/token-seed is damaged/);
    expect(await readFile(path, 'utf8')).toBe('');
  });
});

describe('the first credentials', () => {
  it('are made once, kept for root alone, and differ from installation to installation', async () => {
    const [one, other] = [join(dir, 'one'), join(dir, 'other-one')];
    expect(await readLocalCredentials(one)).toEqual({});
    const made = await makeLocalCredentials(one);
    expect(made.apiKey).toMatch(/^e2b_[0-9a-f]{40}$/);
    expect(made.accessToken).toMatch(/^sk_e2b_[0-9a-f]{40}$/);
    expect(await makeLocalCredentials(one)).toEqual(made);
    expect(await readLocalCredentials(one)).toEqual(made);
    for (const name of ['apiKey', 'accessToken'] as const) {
      expect((await stat(credentialFile(one, name))).mode & 0o777).toBe(0o600);
    }
    expect((await stat(join(one, 'secrets'))).mode & 0o777).toBe(0o700);
    expect((await makeLocalCredentials(other)).apiKey).not.toBe(made.apiKey);
  });

  it('are none where their files are damaged', async () => {
    const at = join(dir, 'damaged');
    await makeLocalCredentials(at);
    await writeFile(credentialFile(at, 'apiKey'), 'e2b_xyz');
    expect(Object.keys(await readLocalCredentials(at))).toEqual(['accessToken']);
    await expect(makeLocalCredentials(at)).rejects.toThrow(/api-key is damaged/);
  });
});

describe('an instance', () => {
  it('is the same by every way to its data directory, and another for another', async () => {
    const real = await openInstance(join(dir, 'data'));
    await symlink(join(dir, 'data'), join(dir, 'link'));
    expect(await openInstance(join(dir, 'link'))).toEqual(real);
    expect((await openInstance(join(dir, 'other'))).name).not.toBe(real.name);
    expect(real.name).toMatch(/^[0-9a-f]{6}$/);
    expect(real.runtimeDir).toBe(`/run/islet/${real.name}`);
  });
});

describe('resolvers of sandboxes', () => {
  it("are the machine's own if a sandbox can reach them", () => {
    const text =
      '# by dhcp\nnameserver 192.168.1.1\nnameserver fe80::1%eth0\nsearch home\n  nameserver 9.9.9.9\n';
    expect(sandboxResolvers(text)).toEqual(['192.168.1.1', '9.9.9.9']);
  });

  it('are public ones if the machine asks itself, or nobody', () => {
    expect(sandboxResolvers('nameserver 127.0.0.53\n')).toEqual(['8.8.8.8', '1.1.1.1']);
    expect(sandboxResolvers('')).toEqual(['8.8.8.8', '1.1.1.1']);
  });
});
