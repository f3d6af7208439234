import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ENVD_VERSION, signFile } from '@islet/contracts';
import { Sandbox } from 'e2b';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually, OTHER_USER, startTestDaemon, type TestDaemon } from './harness.ts';

/** What a forwarded port listens on here; on a sandbox it is the address of eth0. */
const OUTSIDE = '127.0.0.99';

let daemon: TestDaemon;
let identity: (path: string) => string;
beforeEach(async () => {
  daemon = await startTestDaemon({ arguments: ['--forward-address', OUTSIDE] });
  identity = (path) => readFileSync(join(daemon.directory, '.identity', path), 'utf8');
});
afterEach(() => daemon?.stop());

/** Each later than the one before, which two readings of a clock need not be. */
let ticks = 0;
const now = () => `2026-01-01T00:00:00.${String(++ticks).padStart(9, '0')}Z`;
const envs = async () => (await fetch(`${daemon.url}/envs`)).json();

describe('init', () => {
  it('answers 204 with the version', async () => {
    const response = await daemon.init({});
    expect(response.status).toBe(204);
    expect(response.headers.get('x-envd-version')).toBe(ENVD_VERSION);
  });

  it('sets user, directory and variables of processes and files', async () => {
    await daemon.init({
      defaultUser: OTHER_USER,
      defaultWorkdir: '/usr',
      envVars: { A: '1', E2B_SANDBOX: 'no' },
    });
    const { stdout } = await daemon.sandbox.commands.run('id -un; pwd; echo $A $E2B_SANDBOX; echo $B', {
      envs: { B: '2' },
    });
    expect(stdout).toBe(`${OTHER_USER}\n/usr\n1 true\n2\n`);
    expect(await envs()).toEqual({ A: '1', E2B_SANDBOX: 'true' });
    const info = await daemon.sandbox.files.write(join(daemon.directory, 'mine'), 'x');
    expect((await daemon.rpc('filesystem.Filesystem/Stat', { path: info.path })).body.entry?.owner).toBe(
      OTHER_USER,
    );
  });

  it('replaces all variables, or none where it names none', async () => {
    await daemon.init({ envVars: { A: '1', B: '2' } });
    await daemon.init({ envVars: null });
    await daemon.init({ defaultUser: '' });
    expect(await envs()).toMatchObject({ A: '1', B: '2' });
    await daemon.init({ envVars: { C: '3' } });
    expect(await envs()).toEqual({ C: '3', E2B_SANDBOX: 'true' });
  });

  it('does not apply what is not newer than the last', async () => {
    await daemon.init({ timestamp: '2026-01-01T00:00:00.000000002Z', envVars: { A: 'first' } });
    expect(
      (await daemon.init({ timestamp: '2026-01-01T00:00:00.000000001Z', envVars: { A: 'old' } })).status,
    ).toBe(204);
    expect(
      (await daemon.init({ timestamp: '2026-01-01T01:00:00.000000002+01:00', envVars: { A: 'same' } }))
        .status,
    ).toBe(204);
    expect(await envs()).toMatchObject({ A: 'first' });
    await daemon.init({ timestamp: '2026-01-01T00:00:00.000000003Z', envVars: { A: 'newer' } });
    expect(await envs()).toMatchObject({ A: 'newer' });
  });

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['a number as variable', '{"envVars":{"A":1}}'],
    ['a time that is none', '{"timestamp":"yesterday"}'],
    ['a name server that is none', '{"dns":["example.com"]}'],
    ['a host name with a line break', '{"hostname":"a\\nb"}'],
    ['an id that leads elsewhere', '{"sandboxId":"../../etc"}'],
    ['volumes', '{"volumeMounts":[{"nfs_target":"a:/b","path":"/c"}]}'],
  ])('refuses %s', async (_case, body) => {
    const response = await fetch(`${daemon.url}/init`, { method: 'POST', body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 400 });
  });

  it('tells the sandbox who it is', async () => {
    const etc = join(daemon.directory, '.identity/etc');
    mkdirSync(etc, { recursive: true });
    writeFileSync(join(etc, 'hosts'), '127.0.0.1 localhost\n10.0.0.1 mine\n');
    symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(etc, 'resolv.conf'));
    const first = {
      sandboxId: 'ione',
      templateId: 'tpl',
      hostname: 'one',
      dns: ['1.1.1.1', '2606:4700::1111'],
    };
    expect((await daemon.init(first)).status).toBe(204);
    expect(await envs()).toMatchObject({ E2B_SANDBOX_ID: 'ione', E2B_TEMPLATE_ID: 'tpl' });
    expect(identity('run/e2b/.E2B_SANDBOX')).toBe('true');
    expect(identity('run/e2b/.E2B_SANDBOX_ID')).toBe('ione');
    expect(identity('run/e2b/.E2B_TEMPLATE_ID')).toBe('tpl');
    expect(identity('etc/hostname')).toBe('one\n');
    expect(identity('etc/resolv.conf')).toBe('nameserver 1.1.1.1\nnameserver 2606:4700::1111\n');
    expect(identity('etc/hosts')).toBe('127.0.0.1 localhost\n10.0.0.1 mine\n127.0.1.1\tone\t# sandbox\n');
    const machineId = identity('etc/machine-id');
    expect(machineId).toMatch(/^[0-9a-f]{32}\n$/);

    await daemon.init(first);
    expect(identity('etc/machine-id')).toBe(machineId);
    await daemon.init({ sandboxId: 'itwo', hostname: 'two', hyperloopIP: '192.0.2.1' });
    expect(identity('etc/machine-id')).not.toBe(machineId);
    expect(await envs()).toMatchObject({ E2B_SANDBOX_ID: 'itwo', E2B_EVENTS_ADDRESS: 'http://192.0.2.1' });
    expect(identity('etc/hosts')).toBe(
      '127.0.0.1 localhost\n10.0.0.1 mine\n127.0.1.1\ttwo\t# sandbox\n192.0.2.1\tevents.e2b.local\t# sandbox\n',
    );
  });

  it('makes the image trust an authority, once', async () => {
    const certs = join(daemon.directory, '.identity/etc/ssl/certs');
    mkdirSync(certs, { recursive: true });
    writeFileSync(join(certs, 'ca-certificates.crt'), 'OTHERS\n');
    await daemon.init({ caBundle: 'FIRST' });
    await daemon.init({ caBundle: 'SECOND' });
    expect(identity('etc/ssl/certs/ca-certificates.crt')).toBe(
      'OTHERS\n# BEGIN sandbox certificates\nSECOND\n# END sandbox certificates\n',
    );
  });
});

describe('a secured sandbox', () => {
  const token = 'secret-token';
  beforeEach(async () => {
    expect((await daemon.init({ accessToken: token, timestamp: now() })).status).toBe(204);
  });

  it.each([
    ['POST', '/process.Process/List'],
    ['POST', '/filesystem.Filesystem/Stat'],
    ['POST', '/files/compose'],
    ['GET', '/metrics'],
    ['GET', '/envs'],
    ['GET', '/nothing'],
    ['POST', '/health'],
  ])('refuses %s %s without its token and with another', async (method, path) => {
    for (const headers of [[], [['X-Access-Token', 'wrong']]] as [string, string][][]) {
      const response = await fetch(daemon.url + path, { method, headers });
      expect(response.status).toBe(401);
      expect(await response.json()).toEqual({
        code: 401,
        message: 'unauthorized access, please provide a valid access token or method signing if supported',
      });
    }
  });

  it('answers health checks and preflights of anybody', async () => {
    expect((await fetch(`${daemon.url}/health`)).status).toBe(204);
    const preflight = await fetch(`${daemon.url}/process.Process/Start`, {
      method: 'OPTIONS',
      headers: {
        Origin: 'https://example.com',
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'x-access-token,content-type',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    expect(preflight.headers.get('access-control-allow-methods')).toContain('DELETE');
    expect(preflight.headers.get('access-control-allow-headers')).toContain('x-access-token');
    expect(preflight.headers.get('access-control-max-age')).toBe('7200');
  });

  it('works with its token through the SDK', async () => {
    const secured = new Sandbox({
      sandboxId: 'test',
      envdVersion: ENVD_VERSION,
      envdAccessToken: token,
      sandboxUrl: daemon.url,
      apiKey: 'e2b_00',
    });
    const { stdout } = await secured.commands.run('echo in', { user: 'root' });
    expect(stdout).toBe('in\n');
    const path = join(daemon.directory, 'secured');
    await secured.files.write(path, 'text', { user: 'root' });
    expect(await secured.files.read(path)).toBe('text');
    expect(await (await fetch(await secured.downloadUrl(path, { useSignatureExpiration: 60 }))).text()).toBe(
      'text',
    );
    await expect(daemon.sandbox.commands.run('echo out')).rejects.toThrow(/401|unauth/i);
  });

  it('lets files through with the token or a signature, and tells what is wrong with others', async () => {
    const path = join(daemon.directory, 'signed file');
    const url = (query: Record<string, string>) =>
      `${daemon.url}/files?${new URLSearchParams({ path, ...query })}`;
    const seconds = Math.floor(Date.now() / 1000);
    const sign = (operation: 'read' | 'write', expiration?: number) =>
      signFile({ path, operation, username: '', envdAccessToken: token, ...(expiration && { expiration }) });
    const upload = await fetch(url({ signature: sign('write') }), {
      method: 'POST',
      headers: { 'Content-Type': 'application/octet-stream' },
      body: 'signed',
    });
    expect(upload.status).toBe(200);
    expect(await (await fetch(url({ signature: sign('read') }))).text()).toBe('signed');
    expect(await (await fetch(url({}), { headers: { 'X-Access-Token': token } })).text()).toBe('signed');
    const later = seconds + 60;
    expect(
      (await fetch(url({ signature: sign('read', later), signature_expiration: String(later) }))).status,
    ).toBe(200);

    const messageOf = async (response: Promise<Response>) => {
      const answer = await response;
      return `${answer.status} ${((await answer.json()) as { message: string }).message}`;
    };
    expect(await messageOf(fetch(url({})))).toBe('401 missing signature query parameter');
    expect(await messageOf(fetch(url({ signature: sign('write') })))).toBe('401 invalid signature');
    expect(
      await messageOf(
        fetch(url({ signature: sign('read', later), signature_expiration: String(later + 1) })),
      ),
    ).toBe('401 invalid signature');
    const earlier = seconds - 60;
    expect(
      await messageOf(
        fetch(url({ signature: sign('read', earlier), signature_expiration: String(earlier) })),
      ),
    ).toBe('401 signature is already expired');
    expect(
      await messageOf(fetch(url({ signature: sign('read') }), { headers: { 'X-Access-Token': 'wrong' } })),
    ).toBe('401 access token present in header but does not match');
  });

  it('changes its token only for those who know the current one', async () => {
    const status = async (body: object, headers = {}) =>
      (await daemon.init({ timestamp: now(), ...body }, headers)).status;
    expect(await status({ accessToken: 'other' })).toBe(401);
    expect(await status({})).toBe(401);
    expect(await status({ accessToken: 'other' }, { 'X-Access-Token': 'wrong' })).toBe(401);
    expect(await status({ accessToken: token })).toBe(204);
    expect(await status({ accessToken: 'other' }, { 'X-Access-Token': token })).toBe(204);
    expect((await fetch(`${daemon.url}/envs`, { headers: { 'X-Access-Token': token } })).status).toBe(401);
    expect((await fetch(`${daemon.url}/envs`, { headers: { 'X-Access-Token': 'other' } })).status).toBe(200);
    expect(await status({}, { 'X-Access-Token': 'other' })).toBe(204);
    expect((await fetch(`${daemon.url}/envs`)).status).toBe(200);
  });
});

describe('metrics', () => {
  it('measures processors, memory and disk', async () => {
    const read = async () => (await fetch(`${daemon.url}/metrics`)).json() as Promise<Record<string, number>>;
    await read();
    await daemon.sandbox.commands
      .run('timeout 0.5 sh -c "while :; do :; done"', { user: 'root' })
      .catch(() => {});
    const metrics = await read();
    expect(Object.keys(metrics).sort()).toEqual([
      'cpu_count',
      'cpu_used_pct',
      'disk_total',
      'disk_used',
      'mem_cache',
      'mem_total',
      'mem_total_mib',
      'mem_used',
      'mem_used_mib',
      'ts',
    ]);
    expect(metrics.cpu_used_pct).toBeGreaterThan(5);
    expect(metrics.cpu_used_pct).toBeLessThanOrEqual(100);
    expect(metrics.mem_used).toBeLessThan(metrics.mem_total ?? 0);
    expect(Math.abs((metrics.ts ?? 0) - Date.now() / 1000)).toBeLessThan(5);
  });
});

describe('ports', () => {
  it('that are open on loopback only can be reached from outside until they close', async () => {
    const server = createServer((_request, response) => response.end('inside'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const get = () =>
      fetch(`http://${OUTSIDE}:${port}/`, { headers: { Connection: 'close' } }).then((r) => r.text());
    expect(await get().catch(() => 'closed')).toBe('closed');
    const keepAwake = await daemon.sandbox.commands.run('sleep 60', { user: 'root', background: true });
    expect(await eventually(() => get().catch(() => false as const), 'the forwarded port')).toBe('inside');
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await eventually(async () => (await get().catch(() => 'closed')) === 'closed', 'the end of forwarding');
    await keepAwake.kill();
  });

  it('that are open to everybody are left alone', async () => {
    const server = createServer((_request, response) => response.end('outside'));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const { port } = server.address() as AddressInfo;
    const keepAwake = await daemon.sandbox.commands.run('sleep 60', { user: 'root', background: true });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const listeners = execFileSync('sh', [
      '-c',
      `grep -ci ':${port.toString(16).padStart(4, '0')} 00000000:0000 0A' /proc/net/tcp`,
    ]);
    expect(Number(listeners)).toBe(1);
    await new Promise((resolve) => server.close(resolve));
    await keepAwake.kill();
  });
});

describe('the daemon', () => {
  it('survives broken requests and goes on', async () => {
    const bad = [
      fetch(`${daemon.url}/process.Process/Start`, { method: 'POST', body: 'x' }),
      fetch(`${daemon.url}/process.Process/Start`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/connect+json' },
        body: new Uint8Array([0, 0xff, 0xff, 0xff, 0xff, 1]),
      }),
      fetch(`${daemon.url}/process.Process/List`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{',
      }),
      fetch(`${daemon.url}/files`, { method: 'DELETE' }),
      fetch(`${daemon.url}//`),
    ];
    const statuses = (await Promise.all(bad)).map((response) => response.status);
    expect(statuses).toEqual([415, 200, 400, 405, 404]);
    for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const)
      process.kill(daemon.pid, signal);
    expect((await fetch(`${daemon.url}/health`)).status).toBe(204);
  });

  it('leaves no process unreaped and no descriptor open', async () => {
    // Connections are the client's to keep.
    const openFiles = () =>
      execFileSync('ls', ['-l', `/proc/${daemon.pid}/fd`], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => !line.includes('socket:')).length;
    await daemon.sandbox.commands.run('true', { user: 'root' });
    const before = openFiles();
    for (let i = 0; i < 10; i++) {
      await daemon.sandbox.commands.run('true', { user: OTHER_USER, cwd: '/' });
      await daemon.sandbox.commands.run('x', { user: OTHER_USER, cwd: '/no/such' }).catch(() => {});
      const terminal = await daemon.sandbox.pty.create({
        cols: 1,
        rows: 1,
        user: OTHER_USER,
        cwd: '/',
        onData: () => {},
      });
      await terminal.kill();
    }
    await eventually(() => openFiles() <= before, 'all descriptors to be closed');
    const children = execFileSync('sh', ['-c', `cat /proc/${daemon.pid}/task/*/children`], {
      encoding: 'utf8',
    });
    expect(children.trim()).toBe('');
  });

  it('makes a process wait for its slow reader instead of collecting its output', async () => {
    const socketBody = JSON.stringify({
      process: {
        cmd: '/bin/sh',
        args: ['-c', 'i=0; while :; do i=$((i+1)); echo $i > count; head -c 65536 /dev/zero; done'],
        cwd: daemon.directory,
      },
    });
    const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, 0]), Buffer.from(socketBody)]);
    frame.writeUInt32BE(Buffer.byteLength(socketBody), 1);
    const abort = new AbortController();
    const response = await fetch(`${daemon.url}/process.Process/Start`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/connect+json', Authorization: `Basic ${btoa('root:')}` },
      body: frame,
      signal: abort.signal,
    });
    await response.body?.getReader().read();
    const count = () => Number(readFileSync(join(daemon.directory, 'count'), 'utf8'));
    await eventually(async () => {
      const before = count();
      await new Promise((resolve) => setTimeout(resolve, 300));
      return before > 1 && count() === before;
    }, 'the process to wait');
    expect(count() * 65_536).toBeLessThan(20_000_000);
    abort.abort();
    // Without a reader it runs on.
    const stopped = count();
    await eventually(() => count() > stopped + 50, 'the process to go on');
    const [running] = await daemon.sandbox.commands.list();
    await daemon.sandbox.commands.kill(running?.pid ?? 0);
  });
});
