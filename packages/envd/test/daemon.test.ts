import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually, OTHER_USER, openFilesOf, startTestDaemon, type TestDaemon } from './harness.ts';

/** What a forwarded port listens on here; on a sandbox it is the address of eth0. */
const OUTSIDE = '127.0.0.99';

let daemon: TestDaemon;
beforeEach(async () => {
  daemon = await startTestDaemon({ arguments: ['--forward-address', OUTSIDE] });
});
afterEach(() => daemon?.stop());

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
    const openFiles = () => openFilesOf(daemon.pid).filter((file) => !file.startsWith('socket:')).length;
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
    // A thread may end while they are listed, and a process a moment after its descriptors were closed.
    const children = () => execFileSync('sh', ['-c', `cat /proc/${daemon.pid}/task/*/children || true`]);
    await eventually(() => String(children()).trim() === '', 'all processes to be collected');
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
