import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { ControlPlane } from '../setup/control-plane.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { until } from '../setup/until.ts';
import { readCgroup } from './cgroup.ts';

const access = inject('islet');
const { apiUrl, sandboxUrl, apiKey } = access;
const connection = { apiUrl, sandboxUrl, apiKey };
const api = new ControlPlane(access);

/** A sandbox of somebody who does nothing wrong. */
let bystander: Sandbox;
beforeAll(async () => {
  bystander = await Sandbox.create({ ...connection, timeoutMs: 300_000 });
});
afterAll(() => bystander.kill());

async function expectOthersUnharmed(): Promise<void> {
  expect((await bystander.commands.run('echo fine')).stdout).toBe('fine\n');
  expect((await api.call('GET', '/health')).status).toBe(200);
  const fresh = await Sandbox.create(connection);
  expect((await fresh.commands.run('echo new')).stdout).toBe('new\n');
  await fresh.kill();
}

describe('a sandbox that takes more than its share', () => {
  it('of memory: is ended, and nobody else is', async () => {
    const sandbox = await Sandbox.create({ ...connection, timeoutMs: 120_000 });
    const { memoryMB } = await sandbox.getInfo();
    const { memoryLimit } = await readCgroup(access.dataDir, sandbox.sandboxId);
    // Its own memory, and some room for the runtime around it.
    expect(memoryLimit).toBeGreaterThanOrEqual(memoryMB * 1024 * 1024);
    expect(memoryLimit).toBeLessThanOrEqual((memoryMB + 256) * 1024 * 1024);
    const eating = sandbox.commands.run(
      `python3 -c 'keep = [bytearray(b"x") * (1 << 20) for _ in range(${memoryMB * 4})]; print("ate it all")'`,
      { timeoutMs: 0 },
    );
    await expect(eating).rejects.toThrow();
    if (VIRTUAL_MACHINES) {
      // Its own kernel chooses whom to end: the program, and never the sandbox.
      expect((await sandbox.commands.run('echo on')).stdout).toBe('on\n');
    } else {
      await until(
        'the sandbox is gone as a whole',
        15_000,
        () => api.get(sandbox.sandboxId),
        ({ status }) => status === 404,
      );
      expect((await api.edge(sandbox.sandboxId, 49983, '/health')).status).toBe(502);
    }
    await expectOthersUnharmed();
    await Sandbox.kill(sandbox.sandboxId, connection);
  });

  it('of processes: is refused more or ended for its memory, and harms nobody', async () => {
    const sandbox = await Sandbox.create({ ...connection, timeoutMs: 120_000 });
    const bomb = await sandbox.commands.run(
      // Forks as fast as it can; each child does the same.
      `python3 -c '
import os, time
end = time.time() + 100
while time.time() < end:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
'`,
      { background: true, timeoutMs: 0 },
    );
    // What its processes take together may be too much for its memory before anybody has counted them.
    const ended = async () => (await api.get(sandbox.sandboxId)).status === 404;
    // A virtual machine's processes are no threads of the host.
    const processesInside = async () =>
      Number((await sandbox.commands.run('ls -d /proc/[0-9]* | wc -l')).stdout);
    const look = async () => {
      const seen = await readCgroup(access.dataDir, sandbox.sandboxId);
      return { ...seen, size: VIRTUAL_MACHINES ? await processesInside() : seen.threads };
    };
    const figures = await until(
      'the bomb goes off',
      60_000,
      async () => ((await ended()) ? undefined : look()),
      (seen) => seen === undefined || seen.size > 150,
    );
    if (figures) expect(figures.threads).toBeLessThanOrEqual(figures.threadLimit);
    await expectOthersUnharmed();
    await Sandbox.kill(sandbox.sandboxId, connection);
    await bomb.disconnect().catch(() => undefined);
    expect((await api.get(sandbox.sandboxId)).status).toBe(404);
    await expectOthersUnharmed();
  });

  it('of CPU time: gets no more than its CPUs', async () => {
    const sandbox = await Sandbox.create({ ...connection, timeoutMs: 120_000 });
    const { cpuCount } = await sandbox.getInfo();
    expect((await sandbox.commands.run('nproc')).stdout.trim()).toBe(String(cpuCount));
    // Three times as many busy loops as CPUs.
    const hogs = await sandbox.commands.run(
      `for i in $(seq ${cpuCount * 3}); do timeout 60 sh -c 'while :; do :; done' & done; wait`,
      { background: true },
    );
    const from = { time: process.hrtime.bigint(), ...(await readCgroup(access.dataDir, sandbox.sandboxId)) };
    await sleep(3_000);
    const { cpuSeconds, cpuLimit } = await until(
      'the loops run',
      10_000,
      () => readCgroup(access.dataDir, sandbox.sandboxId),
      (figures) => figures.cpuSeconds - from.cpuSeconds > 0.1,
    );
    const wall = Number(process.hrtime.bigint() - from.time) / 1e9;
    // The node keeps half a CPU of the host from any one sandbox.
    expect(cpuLimit).toBe(Math.min(cpuCount, availableParallelism() - 0.5));
    // The kernel hands time out by periods of 100 ms: one more of them may have been begun.
    expect(cpuSeconds - from.cpuSeconds).toBeLessThanOrEqual((wall + 0.1) * cpuLimit);
    await hogs.disconnect();
    await expectOthersUnharmed();
    await sandbox.kill();
  });

  it('of disk writes: what it writes is its own and goes with it', async () => {
    const sandbox = await Sandbox.create({ ...connection, timeoutMs: 120_000 });
    await sandbox.commands.run('dd if=/dev/zero of=/home/user/big bs=1M count=256 status=none');
    expect((await bystander.commands.run('ls /home/user')).stdout).not.toContain('big');
    await sandbox.kill();
    await expectOthersUnharmed();
  });
});
