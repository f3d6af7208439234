import { open, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { Sandbox } from 'e2b';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { machineOf } from '../setup/machine.ts';
import { qemuOf } from './qemu.ts';

const { apiUrl, sandboxUrl, apiKey, dataDir } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey, requestTimeoutMs: 120_000 };

const PATIENT = { timeout: 120_000, interval: 500 };

const made: string[] = [];
afterEach(async () => {
  await Promise.all(made.splice(0).map((id) => Sandbox.kill(id, connection)));
});
const create = async (): Promise<Sandbox> => {
  const sandbox = await Sandbox.create('base', { ...connection, timeoutMs: 600_000 });
  made.push(sandbox.sandboxId);
  return sandbox;
};
const said = async (sandbox: Sandbox, command: string, user = 'user') =>
  (await sandbox.commands.run(command, { user, timeoutMs: 120_000 })).stdout.trim();

describe('a sandbox that is a virtual machine', () => {
  it('has a Linux kernel of its own, its size, a network and sudo', async () => {
    const sandbox = await create();
    expect(await said(sandbox, 'uname -sr')).toMatch(/^Linux \d.*cloud/);
    expect(await said(sandbox, 'sudo id -u')).toBe('0');
    // `df` counts what the template takes: more than half of the disk is used from the start.
    const [size, used] = (await said(sandbox, 'df -m --output=size,used / | tail -1'))
      .split(/\s+/)
      .map(Number);
    expect(used).toBeGreaterThan(500);
    expect(size).toBeGreaterThan(used ?? 0);
    const server = await sandbox.commands.run('python3 -m http.server 8000', {
      background: true,
      timeoutMs: 0,
    });
    await expect
      .poll(() => fetch(`http://${sandbox.getHost(8000)}/`).then(({ status }) => status, String), {
        timeout: 120_000,
        interval: 1000,
      })
      .toBe(200);
    await server.kill();
  });

  it('goes on after a pause with its processes, files and the right time', async () => {
    const sandbox = await create();
    await sandbox.files.write('/home/user/note.txt', 'kept');
    const sleeper = await sandbox.commands.run('sleep 10000', { background: true, timeoutMs: 0 });
    await sandbox.pause({ ...connection });
    expect(await qemuOf(await machineOf(dataDir, sandbox.sandboxId).catch(() => 'none'))).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const resumed = await Sandbox.connect(sandbox.sandboxId, connection);
    const before = Date.now() / 1000;
    const inside = Number(await said(resumed, 'date +%s.%N'));
    // What the clock may be off is how long an answer takes on a busy machine: far below the length of the pause.
    expect(inside).toBeGreaterThan(before - 1);
    expect(inside).toBeLessThan(Date.now() / 1000 + 1);
    expect(await resumed.files.read('/home/user/note.txt')).toBe('kept');
    expect((await resumed.commands.list()).map(({ pid }) => pid)).toEqual([sleeper.pid]);
    // What it wrote since the template is saved again with the second pause.
    await resumed.files.write('/home/user/note.txt', 'changed');
    await resumed.pause({ ...connection });
    const again = await Sandbox.connect(sandbox.sandboxId, connection);
    expect(await again.files.read('/home/user/note.txt')).toBe('changed');
  });

  it('shares neither randomness nor identity with others of its template', async () => {
    const clones = await Promise.all([create(), create()]);
    const drawn = await Promise.all(
      clones.map((clone) =>
        said(
          clone,
          'python3 -c "import os, uuid; print(os.getrandom(16).hex()); print(uuid.uuid4())"; cat /etc/machine-id /proc/sys/kernel/random/uuid; hostname; echo $E2B_SANDBOX_ID',
        ),
      ),
    );
    const [one, other] = drawn.map((text) => text.split('\n'));
    expect(one).toHaveLength(6);
    expect(one?.filter((line, i) => line === other?.[i])).toEqual([]);
  });

  it('forks while it runs, and neither sees what the other does then', async () => {
    const original = await create();
    await original.commands.run('echo one > /home/user/state; sync');
    const { snapshotId } = await original.createSnapshot({ ...connection });
    await original.commands.run('echo two > /home/user/state');
    const fork = await Sandbox.create(snapshotId, { ...connection, timeoutMs: 600_000 });
    made.push(fork.sandboxId);
    expect(await said(fork, 'cat /home/user/state')).toBe('one');
    await fork.commands.run('echo three > /home/user/state');
    expect(await said(original, 'cat /home/user/state')).toBe('two');
    // Each puts a layer on the disk of the machine that runs.
    const lasting = { ...connection, timeoutMs: 600_000 };
    const again = [await original.fork(lasting), await original.fork(lasting)].flat();
    for (const each of again) {
      if (each instanceof Error) throw each;
      made.push(each.sandboxId);
      expect(await said(each, 'cat /home/user/state')).toBe('two');
    }
  });

  it('keeps its connections while it is forked, and the fork loses them', async () => {
    const original = await create();
    let heard = '';
    await original.commands.run('while true; do echo alive; sleep 0.5; done', {
      background: true,
      timeoutMs: 0,
      onStdout: (text) => {
        heard += text;
      },
    });
    await expect.poll(() => heard, PATIENT).toContain('alive');
    const { snapshotId } = await original.createSnapshot({ ...connection });
    heard = '';
    await expect.poll(() => heard, PATIENT).toContain('alive');
    const fork = await Sandbox.create(snapshotId, { ...connection, timeoutMs: 600_000 });
    made.push(fork.sandboxId);
    // The program goes on in the fork, and envd finds out with its next line that nobody listens there. What is left comes
    // from this node's address in the fork's network.
    const peers = `awk '$2 ~ /:C33F$/ && $4 == "01" { sub(":.*", "", $3); print $3 }' /proc/net/tcp6 | sort -u`;
    await expect.poll(() => said(fork, peers), PATIENT).toMatch(/^[0-9A-F]{32}$/);
  });
});

describe.skipIf(process.env.ISLET_FIRECRACKER)('the QEMU of a sandbox', () => {
  it('runs without privileges, filtered, and sees no file beyond its machine', async () => {
    const sandbox = await create();
    const machine = await machineOf(dataDir, sandbox.sandboxId);
    const [pid] = await qemuOf(machine);
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '';
    const ids = [...new Set(field('Uid').split('\t'))];
    expect(ids).toHaveLength(1);
    expect(Number(ids[0])).toBeGreaterThanOrEqual(1_000_000_000);
    expect(field('Groups').trim()).toBe(ids[0]);
    expect(BigInt(`0x${field('CapEff')}`)).toBe(0n);
    expect(BigInt(`0x${field('CapPrm')}`)).toBe(0n);
    expect(field('NoNewPrivs')).toBe('1');
    expect(field('Seccomp')).toBe('2');
    expect((await readdir(`/proc/${pid}/root`)).sort()).toEqual(
      (await readdir(`${dataDir}/machines/${machine}`)).sort(),
    );
    // What it may write are the files that it was given, none of them without end; its core would hold the guest's memory.
    const limits = await readFile(`/proc/${pid}/limits`, 'utf8');
    expect(limits).toMatch(/^Max core file size +0 +0 /m);
    expect(Number(/^Max file size +(\d+)/m.exec(limits)?.[1])).toBeLessThan(2 ** 36);
    const folder = await stat(`${dataDir}/machines/${machine}`);
    expect([folder.uid, folder.gid, folder.mode & 0o777]).toEqual([0, 0, 0o711]);
    for (const fd of [1, 2]) {
      expect(await readlink(`/proc/${pid}/fd/${fd}`)).toContain('/memfd:');
      const log = await open(`/proc/${pid}/fd/${fd}`, 'r+');
      const { size } = await log.stat();
      expect(size).toBeLessThanOrEqual(64 * 1024);
      await expect(log.write('x', size)).rejects.toMatchObject({ code: 'EPERM' });
      await log.close();
    }
    const cgroups = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n');
    expect(
      cgroups.some(
        (line) =>
          (line.includes('memory') && line.endsWith(`/${machine}`)) ||
          (line.startsWith('0::') && line.endsWith(`/${machine}`)),
      ),
    ).toBe(true);
  });

  it('gives back what a program in the sandbox held and freed', { tags: 'long' }, async () => {
    const sandbox = await create();
    const [pid] = await qemuOf(await machineOf(dataDir, sandbox.sandboxId));
    const held = async () => {
      const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
      return Number(/^Anonymous: +(\d+) kB$/m.exec(text)?.[1]) / 1024;
    };
    const before = await held();
    const program = `
import sys
block = bytearray(300 << 20)
block[::4096] = b'1' * len(block[::4096])
print('held', flush=True)
sys.stdin.readline()`;
    let said = '';
    const holder = await sandbox.commands.run(`python3 -c "${program}"`, {
      ...{ background: true, stdin: true, timeoutMs: 0 },
      onStdout: (text) => {
        said += text;
      },
    });
    await expect.poll(() => said, PATIENT).toContain('held');
    const most = await held();
    expect(most).toBeGreaterThan(before + 250);
    await sandbox.commands.sendStdin(holder.pid, '\n');
    await expect.poll(held, PATIENT).toBeLessThan(most - 200);
  });

  it('ends with the sandbox', async () => {
    const sandbox = await create();
    const machine = await machineOf(dataDir, sandbox.sandboxId);
    expect(await qemuOf(machine)).toHaveLength(1);
    await sandbox.kill();
    expect(await qemuOf(machine)).toEqual([]);
  });
});
